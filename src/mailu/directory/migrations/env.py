"""What Alembic runs: the revisions, on the connection that ``mailu.directory.schema`` hands in."""

from alembic import context

from mailu.directory.models import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    version_table=context.config.attributes["version_table"],
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
)
context.run_migrations()
