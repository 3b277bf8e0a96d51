"""What a payer is shown, what was released to it, and whether a case is billed at all. `fhir-gateway reindex` fills in what was stored before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fhir_gateway.store.columns import Key, Serial, UtcTime

revision = "0009"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables and the column."""
    op.add_column("referral_case", sa.Column("self_pay", sa.Boolean(), nullable=True))
    op.create_table(
        "payer_share",
        sa.Column("payer", Key(), nullable=False),
        sa.Column("resource", Serial(), sa.ForeignKey("resource.pk"), nullable=False),
        sa.Column("patient_id", Key(), nullable=False),
        sa.PrimaryKeyConstraint("payer", "resource"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_payer_share_resource", "payer_share", ["resource"], unique=False)
    op.create_index("ix_payer_share_patient", "payer_share", ["patient_id"], unique=False)
    op.create_table(
        "payer_release",
        sa.Column("payer", Key(), nullable=False),
        sa.Column("resource", Serial(), sa.ForeignKey("resource.pk"), nullable=False),
        sa.Column("service_request_id", Key(), sa.ForeignKey("referral_case.service_request_id"), nullable=False),
        sa.Column("released_by", Key(), nullable=False),
        sa.Column("released_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("payer", "resource", "service_request_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_payer_release_resource", "payer_release", ["resource"], unique=False)
