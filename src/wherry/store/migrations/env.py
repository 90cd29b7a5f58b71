"""Runs revisions on the connection, and in the transaction, that `wherry.store.upgrade` was given."""

from alembic import context

from wherry.store.tables import SCHEMA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SCHEMA.metadata,
    transactional_ddl=True,
)
context.run_migrations()
