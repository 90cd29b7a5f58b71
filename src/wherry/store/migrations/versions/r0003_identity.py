"""Identity: roles, users, groups, policies, access keys and instance profiles."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the tables."""
    for table, key in (
        ("iam_roles", "role_name"),
        ("iam_users", "user_name"),
        ("iam_groups", "group_name"),
        ("iam_instance_profiles", "instance_profile_name"),
        ("iam_policies", "arn"),
    ):
        extra = {"iam_roles": ("permissions_boundary",), "iam_users": ("permissions_boundary",)}.get(table, ())
        extra = ("role_name",) if table == "iam_instance_profiles" else extra
        _table(table, key, "folded_name", "path", nullable=extra)
        op.create_index(f"ux_{table}_folded_name", table, ["folded_name"], unique=True)
        for column in extra:
            op.create_index(f"ix_{table}_{column}", table, [column])
    _table("iam_memberships", "key", "group_name", "user_name")
    _table("iam_attachments", "key", "identity_arn", "policy_arn")
    _table("iam_access_keys", "access_key_id", "user_name")
    for table, column in (
        ("iam_memberships", "group_name"),
        ("iam_memberships", "user_name"),
        ("iam_attachments", "identity_arn"),
        ("iam_attachments", "policy_arn"),
        ("iam_access_keys", "user_name"),
    ):
        op.create_index(f"ix_{table}_{column}", table, [column])


def _table(name: str, key: str, *columns: str, nullable: tuple[str, ...] = ()) -> None:
    op.create_table(
        name,
        sa.Column(key, TEXT, primary_key=True, nullable=False),
        *(sa.Column(column, TEXT, nullable=False) for column in columns),
        *(sa.Column(column, TEXT, nullable=True) for column in nullable),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
