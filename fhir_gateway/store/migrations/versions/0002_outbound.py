"""Partners: whom the gateway tells of its own accord, and how. Lanes: what has to leave in order."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fhir_gateway.store.columns import Key, UtcTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table and the column with its index."""
    op.add_column("outbox", sa.Column("lane", Key(), nullable=False, server_default=""))
    op.create_index(
        "ix_outbox_lane",
        "outbox",
        ["lane", "pk"],
        unique=False,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
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
