"""The log store: a database of its own, so that heavy logging slows nothing else."""

from wherry.store.logs.store import LogStore
from wherry.store.logs.tx import LogTx

__all__ = ["LogStore", "LogTx"]
