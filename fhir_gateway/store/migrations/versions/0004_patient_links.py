"""Which Patients are one person, over time; records that waited too long for a referral.

Links that Patients held before this are found once the derived rows have been rebuilt (reindex).
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fhir_gateway.store.columns import Key, Serial, UtcTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_WAITING = "orphan AND until IS NULL AND expired IS NULL"
_SQLITE = "orphan = 1 AND until IS NULL"


def upgrade() -> None:
    """Create the table, and the column that says when a record was given up."""
    op.create_table(
        "patient_link",
        sa.Column("pk", Serial(), nullable=False),
        sa.Column("resource", Serial(), nullable=False),
        sa.Column("patient_id", Key(), nullable=False),
        sa.Column("other_id", Key(), nullable=False),
        sa.Column("since", UtcTime(), nullable=False),
        sa.Column("until", UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(["resource"], ["resource.pk"]),
        sa.PrimaryKeyConstraint("pk"),
    )
    op.create_index("ix_patient_link_patient", "patient_link", ["patient_id", "other_id"], unique=False)
    op.create_index("ix_patient_link_resource", "patient_link", ["resource"], unique=False)
    op.add_column("record", sa.Column("expired", UtcTime(), nullable=True))
    op.create_index(
        "ix_record_waiting",
        "record",
        ["since"],
        unique=False,
        sqlite_where=sa.text(f"{_SQLITE} AND expired IS NULL"),
        postgresql_where=sa.text(_WAITING),
    )
    if op.get_bind().dialect.name == "sqlite":  # where the first one could not be used: see RecordRow
        op.drop_index("ix_record_orphan", "record")
        op.create_index("ix_record_orphan", "record", ["pk"], unique=False, sqlite_where=sa.text(_SQLITE))
