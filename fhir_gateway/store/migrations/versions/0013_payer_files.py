"""Whom the payers' files meant when the database was last served, so that a service begun with others shows payers what is theirs by these."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fhir_gateway.store.columns import Key

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; which files were in force until now is not known."""
    op.create_table("payer_files", sa.Column("digest", Key(), nullable=False), sa.PrimaryKeyConstraint("digest"), sqlite_with_rowid=False)
