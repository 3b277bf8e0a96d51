"""Search by numbers, by texts beside codes, by the type of an identifier, and by tag and profile. `fhir-gateway reindex` fills in what was stored before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fhir_gateway.store.columns import Key, Serial

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table and the column."""
    op.add_column("search_token", sa.Column("text", Key(), nullable=True))
    op.create_table(
        "search_quantity",
        sa.Column("resource", Serial(), sa.ForeignKey("resource.pk"), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("param", Key(), nullable=False),
        sa.Column("low", sa.Double(), nullable=False),
        sa.Column("high", sa.Double(), nullable=False),
        sa.Column("system", Key(), nullable=True),
        sa.Column("code", Key(), nullable=True),
        sa.Column("unit", Key(), nullable=True),
        sa.PrimaryKeyConstraint("resource", "n"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_search_quantity_low", "search_quantity", ["param", "low", "resource", "high"], unique=False)
    op.create_index("ix_search_quantity_high", "search_quantity", ["param", "high", "resource", "low"], unique=False)
