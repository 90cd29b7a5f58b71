"""Brings a database up to the schema of this version: alembic, run at every opening, in one transaction."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from wherry.store.errors import NewerSchema


@dataclass(frozen=True)
class History:
    """A line of revisions: the folder of its scripts, and the table in which a database keeps how far it has come.

    On PostgreSQL two histories may share a database; `writer_lock` is the advisory lock of who writes by this one.
    """

    scripts: Path
    version_table: str = "alembic_version"
    writer_lock: int = 0x7768657272790001  # "wherry" in ASCII and a one


STATE = History(Path(__file__).parent / "migrations")


def migrate(engine: sa.Engine, history: History = STATE) -> None:
    """Apply the revisions that the database lacks, all or none; raises `NewerSchema`."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config()
    config.set_main_option("script_location", str(history.scripts).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    with engine.begin() as connection:
        versions = {"version_table": history.version_table}
        current = MigrationContext.configure(connection, opts=versions).get_current_revision()
        if current is not None and current not in known:
            raise NewerSchema(
                f"The database has schema {current}, which this version of Wherry does not know: a newer one wrote it. "
                "Install that version, or restore the backup that was made before the upgrade."
            )
        if current != scripts.get_current_head():
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
