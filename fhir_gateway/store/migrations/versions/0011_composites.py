"""Search by pairs of values of one element. `fhir-gateway reindex` numbers the elements of what was stored before; until then such a search misses them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; the rows there stay as they are."""
    for table in ("search_token", "search_reference", "search_quantity"):
        op.add_column(table, sa.Column("element", sa.Integer(), nullable=True))
