"""The database is the truth: synchronous transaction functions, group commit, and the bell."""

from wherry.store.bell import Bell
from wherry.store.errors import Conflict, StoreError
from wherry.store.schema import Key, Range
from wherry.store.store import Store
from wherry.store.tx import Tx

__all__ = ["Bell", "Conflict", "Key", "Range", "Store", "StoreError", "Tx"]
