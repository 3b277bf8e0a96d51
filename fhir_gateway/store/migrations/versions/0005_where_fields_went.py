"""Where every field of a message went, which no element took, and which codes no table translates.

Messages mapped before have the counts they had; `inbox show --report` maps them again to answer.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fhir_gateway.store.columns import Bytes, Key, Serial, UtcTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_KEPT = "kept IS NOT NULL"


def upgrade() -> None:
    """Add the two columns of the inbox, and the tables beside it."""
    op.add_column("inbox", sa.Column("report", Bytes(), nullable=True))
    op.add_column("inbox", sa.Column("kept", Key(), nullable=True))
    op.create_index("ix_inbox_kept", "inbox", ["kept", "id"], unique=False, sqlite_where=sa.text(_KEPT), postgresql_where=sa.text(_KEPT))
    op.create_table(
        "kept_field",
        sa.Column("digest", Key(), nullable=False),
        sa.Column("field", Key(), nullable=False),
        sa.PrimaryKeyConstraint("digest", "field"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_kept_field_field", "kept_field", ["field", "digest"], unique=False)
    op.create_table(
        "local_code",
        sa.Column("pk", Serial(), nullable=False),
        sa.Column("sender", Key(), nullable=False),
        sa.Column("map", Key(), nullable=False),
        sa.Column("code", Key(), nullable=False),
        sa.Column("display", Key(), nullable=False),
        sa.Column("field", Key(), nullable=False),
        sa.Column("since", UtcTime(), nullable=False),
        sa.Column("task", Key(), nullable=True),
        sa.Column("ended", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("sender", "map", "code", name="uq_local_code"),
    )
    op.create_table(
        "waiting",
        sa.Column("code", Serial(), nullable=False),
        sa.Column("inbox", Key(), nullable=False),
        sa.ForeignKeyConstraint(["code"], ["local_code.pk"]),
        sa.PrimaryKeyConstraint("code", "inbox"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_waiting_inbox", "waiting", ["inbox"], unique=False)
