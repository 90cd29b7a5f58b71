"""Secrets: parameters of SSM Parameter Store and secrets of Secrets Manager, sealed."""

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the tables."""
