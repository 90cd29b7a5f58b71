"""Runs revisions on the connection, and in the transaction, that `wherry.store.upgrade` was given."""

from alembic import context

from wherry.store.logs.tables import HISTORY, SCHEMA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SCHEMA.metadata,
    transactional_ddl=True,
    version_table=HISTORY.version_table,
)
context.run_migrations()
