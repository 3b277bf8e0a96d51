"""Payers the clinic has configured in the database, and how each has answered lately."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fhir_gateway.store.columns import Key, UtcTime

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "payer",
        sa.Column("name", Key(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("changed_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "payer_circuit",
        sa.Column("payer", Key(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("rests_until", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("payer"),
        sqlite_with_rowid=False,
    )
