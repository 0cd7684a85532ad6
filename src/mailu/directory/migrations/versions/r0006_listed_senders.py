"""Senders that a mailbox, a domain or the server lets in or keeps out."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

OPTIONS: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def upgrade() -> None:
    op.create_table(
        "listed_sender",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_email", sa.String(length=255), nullable=True),
        sa.Column("domain_name", sa.String(length=253), nullable=True),
        sa.Column("sender", sa.String(length=255), nullable=False),
        sa.Column("verdict", sa.String(length=8), nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.Date(), nullable=False),
        sa.Column("updated_at", sa.Date(), nullable=True),
        sa.Column("comment", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("id", name="listed_sender_pkey"),
        sa.UniqueConstraint("user_email", "sender", name="listed_sender_user_key"),
        sa.UniqueConstraint("domain_name", "sender", name="listed_sender_domain_key"),
        _owner("user_email", "user.email"),
        _owner("domain_name", "domain.name"),
        sqlite_autoincrement=True,
        **OPTIONS,
    )


def downgrade() -> None:
    op.drop_table("listed_sender")


def _owner(column: str, target: str) -> sa.ForeignKeyConstraint:
    name = f"listed_sender_{column}_fkey"
    return sa.ForeignKeyConstraint([column], [target], name=name, ondelete="CASCADE")
