"""An index of older versions by time: the history of a type and of everything."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the index."""
    op.create_index("ix_resource_version_last_updated", "resource_version", ["last_updated", "resource", "version"], unique=False)
