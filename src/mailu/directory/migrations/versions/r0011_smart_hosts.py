"""A smart host for each sending domain, with a log-in."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

COLUMNS = ("relayhost", "relayuser", "relaypassword")


def upgrade() -> None:
    with op.batch_alter_table("domain") as table:
        for name in COLUMNS:
            table.add_column(sa.Column(name, sa.String(length=255), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("domain") as table:
        for name in COLUMNS:
            table.drop_column(name)
