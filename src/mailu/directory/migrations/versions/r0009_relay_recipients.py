"""Who is taken mail for in a relayed domain: whom its server knows, who is listed, or everybody."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("relay") as table:
        table.add_column(sa.Column("recipients", sa.String(length=8), nullable=False, server_default="ask"))
        table.add_column(sa.Column("listed_recipients", sa.Text(), nullable=True))
    with op.batch_alter_table("relay") as table:
        table.alter_column(
            "recipients", existing_type=sa.String(length=8), existing_nullable=False, server_default=None
        )


def downgrade() -> None:
    with op.batch_alter_table("relay") as table:
        table.drop_column("listed_recipients")
        table.drop_column("recipients")
