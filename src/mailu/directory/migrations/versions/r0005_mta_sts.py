"""A switch for each domain: whether a policy about encryption (MTA-STS) is published, and how strict it is."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("domain") as table:
        table.add_column(sa.Column("mta_sts", sa.String(length=8), nullable=False, server_default="off"))
    with op.batch_alter_table("domain") as table:
        table.alter_column("mta_sts", existing_type=sa.String(length=8), existing_nullable=False, server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("domain") as table:
        table.drop_column("mta_sts")
