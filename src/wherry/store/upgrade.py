"""Runs revisions: alembic, within the transaction that `wherry.store.migrate` has opened."""

from __future__ import annotations

import logging

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from wherry.store.errors import NewerSchema
from wherry.store.history import History


def upgrade(connection: sa.Connection, history: History) -> None:
    """Apply the revisions that the database lacks, from the first if it is empty; raises `NewerSchema`."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config()
    config.set_main_option("script_location", str(history.scripts).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    versions = {"version_table": history.version_table}
    current = MigrationContext.configure(connection, opts=versions).get_current_revision()
    if current is not None and current not in known:
        raise NewerSchema(
            f"The database has schema {current}, which this version of Wherry does not know: a newer one wrote it. "
            "Install that version, or restore the backup that was made before the upgrade."
        )
    command.upgrade(config, "head")
