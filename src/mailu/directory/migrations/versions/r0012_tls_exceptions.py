"""Destinations that are sent to with less encryption for a while."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tls_exception",
        sa.Column("name", sa.String(length=253), nullable=False),
        sa.Column("level", sa.String(length=8), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.Date(), nullable=False),
        sa.Column("updated_at", sa.Date(), nullable=True),
        sa.Column("comment", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("name", name="tls_exception_pkey"),
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )


def downgrade() -> None:
    op.drop_table("tls_exception")
