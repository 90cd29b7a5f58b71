"""The lines of revisions by which the databases of earlier versions become those of this one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa


@dataclass(frozen=True)
class History:
    """A line of revisions up to `head`, which comes to `metadata`: the folder of its scripts, and the version table.

    On PostgreSQL two histories may share a database; `writer_lock` is the advisory lock of who writes by this one.
    """

    scripts: Path
    head: str
    metadata: sa.MetaData
    version_table: str
    writer_lock: int
