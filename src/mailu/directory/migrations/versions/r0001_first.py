"""The whole schema as it was first released.

Written out, and not made from ``models``, which will move on.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

OPTIONS: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}

TABLES = (
    "audit",
    "config",
    "domain",
    "relay",
    "retired",
    "version",
    "alternative",
    "user",
    "alias",
    "domain_access",
    "fetch",
    "manager",
    "token",
)
"""In the order they are made in."""


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("origin", sa.String(length=255), nullable=False),
        sa.Column("action", sa.String(length=80), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="audit_pkey"),
        sqlite_autoincrement=True,
        **OPTIONS,
    )
    op.create_index("audit_at_idx", "audit", ["at"], unique=False)
    op.create_index("audit_subject_idx", "audit", ["subject"], unique=False)
    op.create_table(
        "config",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("value", sa.JSON(), nullable=True),
        sa.Column("created_at", sa.Date(), nullable=False),
        sa.Column("updated_at", sa.Date(), nullable=True),
        sa.Column("comment", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("name", name="config_pkey"),
        **OPTIONS,
    )
    op.create_table(
        "domain",
        sa.Column("name", sa.String(length=253), nullable=False),
        sa.Column("max_users", sa.Integer(), nullable=False),
        sa.Column("max_aliases", sa.Integer(), nullable=False),
        sa.Column("max_quota_bytes", sa.BigInteger(), nullable=False),
        sa.Column("signup_enabled", sa.Boolean(), nullable=False),
        sa.Column("anonmail_enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Date(), nullable=False),
        sa.Column("updated_at", sa.Date(), nullable=True),
        sa.Column("comment", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("name", name="domain_pkey"),
        **OPTIONS,
    )
    op.create_table(
        "relay",
        sa.Column("name", sa.String(length=253), nullable=False),
        sa.Column("smtp", sa.String(length=255), nullable=True),
        sa.Column("created_at", sa.Date(), nullable=False),
        sa.Column("updated_at", sa.Date(), nullable=True),
        sa.Column("comment", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("name", name="relay_pkey"),
        **OPTIONS,
    )
    op.create_table(
        "retired",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("email", sa.String(length=255), nullable=False),
        sa.Column("home", sa.String(length=320), nullable=False),
        sa.Column("deleted_at", sa.DateTime(), nullable=False),
        sa.Column("purge_after", sa.Date(), nullable=False),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="retired_pkey"),
        sa.UniqueConstraint("home", name="retired_home_key"),
        sqlite_autoincrement=True,
        **OPTIONS,
    )
    op.create_index("retired_email_idx", "retired", ["email"], unique=False)
    op.create_index("retired_purge_after_idx", "retired", ["purge_after"], unique=False)
    op.create_table(
        "version",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("changes", sa.BigInteger(), nullable=False),
        sa.Column("bookkeeping", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="version_pkey"),
        **OPTIONS,
    )
    op.create_table(
        "alternative",
        sa.Column("name", sa.String(length=253), nullable=False),
        sa.Column("domain_name", sa.String(length=253), nullable=False),
        sa.Column("created_at", sa.Date(), nullable=False),
        sa.Column("updated_at", sa.Date(), nullable=True),
        sa.Column("comment", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(
            ["domain_name"], ["domain.name"], name="alternative_domain_name_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("name", name="alternative_pkey"),
        **OPTIONS,
    )
    op.create_index("alternative_domain_name_idx", "alternative", ["domain_name"], unique=False)
    op.create_table(
        "user",
        sa.Column("email", sa.String(length=255), nullable=False),
        sa.Column("localpart", sa.String(length=80), nullable=False),
        sa.Column("domain_name", sa.String(length=253), nullable=False),
        sa.Column("password", sa.String(length=255), nullable=False),
        sa.Column("quota_bytes", sa.BigInteger(), nullable=False),
        sa.Column("quota_bytes_used", sa.BigInteger(), nullable=False),
        sa.Column("global_admin", sa.Boolean(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("enable_imap", sa.Boolean(), nullable=False),
        sa.Column("enable_pop", sa.Boolean(), nullable=False),
        sa.Column("allow_spoofing", sa.Boolean(), nullable=False),
        sa.Column("forward_enabled", sa.Boolean(), nullable=False),
        sa.Column("forward_destination", sa.Text(), nullable=False),
        sa.Column("forward_keep", sa.Boolean(), nullable=False),
        sa.Column("reply_enabled", sa.Boolean(), nullable=False),
        sa.Column("reply_subject", sa.String(length=255), nullable=True),
        sa.Column("reply_body", sa.Text(), nullable=True),
        sa.Column("reply_startdate", sa.Date(), nullable=False),
        sa.Column("reply_enddate", sa.Date(), nullable=False),
        sa.Column("displayed_name", sa.String(length=160), nullable=False),
        sa.Column("spam_enabled", sa.Boolean(), nullable=False),
        sa.Column("spam_mark_as_read", sa.Boolean(), nullable=False),
        sa.Column("spam_threshold", sa.Integer(), nullable=False),
        sa.Column("change_pw_next_login", sa.Boolean(), nullable=False),
        sa.Column("home", sa.String(length=320), nullable=False),
        sa.Column("last_login", sa.DateTime(), nullable=True),
        sa.Column("message_ratelimit", sa.String(length=80), nullable=True),
        sa.Column("created_at", sa.Date(), nullable=False),
        sa.Column("updated_at", sa.Date(), nullable=True),
        sa.Column("comment", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(["domain_name"], ["domain.name"], name="user_domain_name_fkey", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("email", name="user_pkey"),
        sa.UniqueConstraint("home", name="user_home_key"),
        **OPTIONS,
    )
    op.create_index("user_domain_name_idx", "user", ["domain_name"], unique=False)
    op.create_table(
        "alias",
        sa.Column("email", sa.String(length=255), nullable=False),
        sa.Column("localpart", sa.String(length=80), nullable=False),
        sa.Column("domain_name", sa.String(length=253), nullable=False),
        sa.Column("wildcard", sa.Boolean(), nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("hostname", sa.String(length=255), nullable=True),
        sa.Column("owner_email", sa.String(length=255), nullable=True),
        sa.Column("created_at", sa.Date(), nullable=False),
        sa.Column("updated_at", sa.Date(), nullable=True),
        sa.Column("comment", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(["domain_name"], ["domain.name"], name="alias_domain_name_fkey", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["owner_email"], ["user.email"], name="alias_owner_email_fkey", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("email", name="alias_pkey"),
        **OPTIONS,
    )
    op.create_index("alias_domain_name_idx", "alias", ["domain_name"], unique=False)
    op.create_index("alias_owner_email_idx", "alias", ["owner_email"], unique=False)
    op.create_table(
        "domain_access",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("domain_name", sa.String(length=253), nullable=False),
        sa.Column("user_email", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.Date(), nullable=False),
        sa.Column("updated_at", sa.Date(), nullable=True),
        sa.Column("comment", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(
            ["domain_name"], ["domain.name"], name="domain_access_domain_name_fkey", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_email"], ["user.email"], name="domain_access_user_email_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="domain_access_pkey"),
        sa.UniqueConstraint("domain_name", "user_email", name="uq_domain_access_user"),
        **OPTIONS,
    )
    op.create_index("domain_access_user_email_idx", "domain_access", ["user_email"], unique=False)
    op.create_table(
        "fetch",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_email", sa.String(length=255), nullable=False),
        sa.Column("protocol", sa.String(length=4), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("tls", sa.Boolean(), nullable=False),
        sa.Column("username", sa.String(length=255), nullable=False),
        sa.Column("password", sa.String(length=255), nullable=False),
        sa.Column("keep", sa.Boolean(), nullable=False),
        sa.Column("scan", sa.Boolean(), nullable=False),
        sa.Column("invisible", sa.Boolean(), nullable=False),
        sa.Column("folders", sa.Text(), nullable=False),
        sa.Column("last_check", sa.DateTime(), nullable=True),
        sa.Column("error", sa.String(length=1023), nullable=True),
        sa.Column("created_at", sa.Date(), nullable=False),
        sa.Column("updated_at", sa.Date(), nullable=True),
        sa.Column("comment", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(["user_email"], ["user.email"], name="fetch_user_email_fkey", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="fetch_pkey"),
        sqlite_autoincrement=True,
        **OPTIONS,
    )
    op.create_index("fetch_user_email_idx", "fetch", ["user_email"], unique=False)
    op.create_table(
        "manager",
        sa.Column("domain_name", sa.String(length=253), nullable=False),
        sa.Column("user_email", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(["domain_name"], ["domain.name"], name="manager_domain_name_fkey", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_email"], ["user.email"], name="manager_user_email_fkey", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("domain_name", "user_email", name="manager_pkey"),
        **OPTIONS,
    )
    op.create_index("manager_user_email_idx", "manager", ["user_email"], unique=False)
    op.create_table(
        "token",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_email", sa.String(length=255), nullable=False),
        sa.Column("password", sa.String(length=255), nullable=False),
        sa.Column("ip", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Date(), nullable=False),
        sa.Column("updated_at", sa.Date(), nullable=True),
        sa.Column("comment", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(["user_email"], ["user.email"], name="token_user_email_fkey", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="token_pkey"),
        sqlite_autoincrement=True,
        **OPTIONS,
    )
    op.create_index("token_user_email_idx", "token", ["user_email"], unique=False)
    op.bulk_insert(
        sa.table("version", sa.column("id"), sa.column("changes"), sa.column("bookkeeping")),
        [{"id": 1, "changes": 1, "bookkeeping": 1}],
    )


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
