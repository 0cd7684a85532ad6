"""Indexes for the orders in which lists are read a page at a time."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INDEXES = {
    "user": {
        "user_used_idx": ["quota_bytes_used", "email"],
        "user_last_login_idx": ["last_login", "email"],
        "user_created_idx": ["created_at", "email"],
        "user_domain_email_idx": ["domain_name", "email"],
        "user_domain_used_idx": ["domain_name", "quota_bytes_used", "email"],
        "user_domain_last_login_idx": ["domain_name", "last_login", "email"],
        "user_domain_created_idx": ["domain_name", "created_at", "email"],
    },
    "alias": {
        "alias_domain_email_idx": ["domain_name", "email"],
        "alias_created_idx": ["created_at", "email"],
        "alias_domain_created_idx": ["domain_name", "created_at", "email"],
        "alias_owner_idx": ["owner_email", "email"],
    },
}
REPLACED = {
    "user": {"user_domain_name_idx": ["domain_name"]},
    "alias": {"alias_domain_name_idx": ["domain_name"], "alias_owner_email_idx": ["owner_email"]},
}


def upgrade() -> None:
    """The new ones first: MariaDB keeps an index for each foreign key at all times."""
    _create(INDEXES)
    _drop(REPLACED)


def downgrade() -> None:
    _create(REPLACED)
    _drop(INDEXES)


def _create(indexes: dict[str, dict[str, list[str]]]) -> None:
    for table, found in indexes.items():
        for name, columns in found.items():
            op.create_index(name, table, columns)


def _drop(indexes: dict[str, dict[str, list[str]]]) -> None:
    for table, found in indexes.items():
        for name in found:
            op.drop_index(name, table_name=table)
