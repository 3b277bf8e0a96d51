"""Partners: whom the gateway tells of its own accord, and how."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fhir_gateway.store.columns import Key, UtcTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "partner",
        sa.Column("organisation", Key(), nullable=False),
        sa.Column("name", Key(), nullable=False),
        sa.Column("fhir_base", Key(), nullable=False),
        sa.Column("mllp_host", Key(), nullable=False),
        sa.Column("mllp_port", sa.Integer(), nullable=False),
        sa.Column("mllp_tls", sa.Boolean(), nullable=False),
        sa.Column("application", Key(), nullable=False),
        sa.Column("facility", Key(), nullable=False),
        sa.Column("replies", Key(), nullable=False),
        sa.Column("changed_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("organisation"),
        sqlite_with_rowid=False,
    )
