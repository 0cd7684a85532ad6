"""What people sign on with beside the password, and links to a new password."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

OPTIONS: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def upgrade() -> None:
    op.create_table(
        "totp",
        _owner(),
        sa.Column("secret", sa.String(length=255), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("user_email", name="totp_pkey"),
        _owner_key("totp"),
        **OPTIONS,
    )
    op.create_table(
        "passkey",
        sa.Column("id", sa.Integer(), nullable=False),
        _owner(),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("credential", sa.Text(), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("uses", sa.BigInteger(), nullable=False),
        sa.Column("last_used", sa.DateTime(), nullable=True),
        sa.Column("created_at", sa.Date(), nullable=False),
        sa.Column("updated_at", sa.Date(), nullable=True),
        sa.Column("comment", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("id", name="passkey_pkey"),
        sa.UniqueConstraint("digest", name="passkey_digest_key"),
        _owner_key("passkey"),
        sqlite_autoincrement=True,
        **OPTIONS,
    )
    op.create_index("passkey_user_email_idx", "passkey", ["user_email"])
    for table in ("recovery_code", "reset_link"):
        op.create_table(
            table,
            sa.Column("digest", sa.String(length=64), nullable=False),
            _owner(),
            *([sa.Column("expires_at", sa.DateTime(), nullable=False)] if table == "reset_link" else []),
            sa.PrimaryKeyConstraint("digest", name=f"{table}_pkey"),
            _owner_key(table),
            **OPTIONS,
        )
        op.create_index(f"{table}_user_email_idx", table, ["user_email"])


def downgrade() -> None:
    for table in ("reset_link", "recovery_code", "passkey", "totp"):
        op.drop_table(table)


def _owner() -> sa.Column[str]:
    return sa.Column("user_email", sa.String(length=255), nullable=False)


def _owner_key(table: str) -> sa.ForeignKeyConstraint:
    name = f"{table}_user_email_fkey"
    return sa.ForeignKeyConstraint(["user_email"], ["user.email"], name=name, ondelete="CASCADE")
