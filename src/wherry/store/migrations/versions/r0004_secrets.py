"""Secrets: parameters of SSM Parameter Store and secrets of Secrets Manager, sealed."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the tables."""
    _secrets()
    _parameters()


def _secrets() -> None:
    op.create_table(
        "secrets",
        sa.Column("arn", TEXT, primary_key=True, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("created_date", sa.Double(), nullable=False),
        sa.Column("last_changed_date", sa.Double(), nullable=False),
        sa.Column("deletion_date", sa.Double(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index("ux_secrets_name", "secrets", ["name"], unique=True)
    op.create_index("ix_secrets_created_date", "secrets", ["created_date"])
    op.create_index("ix_secrets_last_changed_date", "secrets", ["last_changed_date"])
    op.create_index("ix_secrets_deletion_date", "secrets", ["deletion_date"])
    op.create_table(
        "secret_versions",
        sa.Column("key", TEXT, primary_key=True, nullable=False),
        sa.Column("secret_arn", TEXT, nullable=False),
        sa.Column("created_date", sa.Double(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index("ix_secret_versions_secret_arn_created_date", "secret_versions", ["secret_arn", "created_date"])


def _parameters() -> None:
    op.create_table(
        "parameters",
        sa.Column("arn", TEXT, primary_key=True, nullable=False),
        sa.Column("parent", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index("ix_parameters_parent_arn", "parameters", ["parent", "arn"])
    op.create_table(
        "parameter_versions",
        sa.Column("key", TEXT, primary_key=True, nullable=False),
        sa.Column("parameter_arn", TEXT, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index("ix_parameter_versions_parameter_arn_number", "parameter_versions", ["parameter_arn", "number"])
