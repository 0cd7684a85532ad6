"""What people want done with arriving mail, beside forward and automatic reply."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("user") as table:
        table.add_column(sa.Column("mail_rules", sa.Text(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("user") as table:
        table.drop_column("mail_rules")
