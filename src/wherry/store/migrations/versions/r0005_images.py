"""Images: repositories, what is in them, and their tags."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "ecr_repositories",
        sa.Column("repository_name", TEXT, primary_key=True, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_table(
        "ecr_images",
        sa.Column("key", TEXT, primary_key=True, nullable=False),
        sa.Column("repository_name", TEXT, nullable=False),
        sa.Column("image_digest", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index("ix_ecr_images_repository_name_image_digest", "ecr_images", ["repository_name", "image_digest"])
    op.create_table(
        "ecr_image_tags",
        sa.Column("key", TEXT, primary_key=True, nullable=False),
        sa.Column("repository_name", TEXT, nullable=False),
        sa.Column("tag", TEXT, nullable=False),
        sa.Column("image_digest", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index("ix_ecr_image_tags_repository_name_tag", "ecr_image_tags", ["repository_name", "tag"])
    op.create_index(
        "ix_ecr_image_tags_repository_name_image_digest", "ecr_image_tags", ["repository_name", "image_digest"]
    )
