"""The history of the schema, as alembic keeps it."""
