"""An index of the clinic's own resources: its checklists and its directory are looked at before every judgement, however many senders' there are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the index."""
    own = sa.text("owner = ''")
    op.create_index("ix_resource_clinics_own", "resource", ["type", "owner", "id", "version"], unique=False, sqlite_where=own, postgresql_where=own)
