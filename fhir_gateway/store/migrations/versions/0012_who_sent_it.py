"""Under whose rights a kept message was sent, so that it is worked on again under no others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fhir_gateway.store.columns import Key

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; of what came before nobody knows."""
    op.add_column("inbox", sa.Column("role", Key(), nullable=True))
    op.add_column("inbox", sa.Column("agent", Key(), nullable=True))
