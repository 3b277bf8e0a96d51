"""The first tables: resources, search rows, identity keys, inbox, records, cases, outbox, audit trail."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fhir_gateway.store.columns import Bytes, JsonText, Key, Long, Serial, UtcTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table with its indexes."""
    _audit_event()
    _identity_key()
    _inbox()
    _outbox()
    _resource()
    _record()
    _referral_case()
    _resource_contributor()
    _resource_version()
    _search_date()
    _search_reference()
    _search_string()
    _search_token()
    _case_item()
    _case_key()
    _record_link()


def _audit_event() -> None:
    op.create_table(
        "audit_event",
        sa.Column("pk", Serial(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("role", Key(), nullable=False),
        sa.Column("organisation", Key(), nullable=False),
        sa.Column("name", Key(), nullable=False),
        sa.Column("action", Key(), nullable=False),
        sa.Column("type", Key(), nullable=False),
        sa.Column("id", Key(), nullable=False),
        sa.Column("inbox_id", Key(), nullable=True),
        sa.Column("detail", Key(), nullable=False),
        sa.PrimaryKeyConstraint("pk"),
    )
    op.create_index("ix_audit_event_resource", "audit_event", ["type", "id", "pk"], unique=False)


def _identity_key() -> None:
    op.create_table(
        "identity_key",
        sa.Column("kind", Key(), nullable=False),
        sa.Column("value", Key(), nullable=False),
        sa.Column("type", Key(), nullable=False),
        sa.Column("id", Key(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "value"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_identity_key_resource", "identity_key", ["type", "id"], unique=False)


def _inbox() -> None:
    op.create_table(
        "inbox",
        sa.Column("id", Key(), nullable=False),
        sa.Column("received_at", UtcTime(), nullable=False),
        sa.Column("channel", Key(), nullable=False),
        sa.Column("sender", Key(), nullable=False),
        sa.Column("control_id", Key(), nullable=True),
        sa.Column("message_type", Key(), nullable=False),
        sa.Column("content_hash", Key(), nullable=False),
        sa.Column("size", Long(), nullable=False),
        sa.Column("charset", Key(), nullable=False),
        sa.Column("owner", Key(), nullable=False),
        sa.Column("state", Key(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("settled_at", UtcTime(), nullable=True),
        sa.Column("mapping", Key(), nullable=False),
        sa.Column("findings", JsonText(), nullable=True),
        sa.Column("ledger", JsonText(), nullable=True),
        sa.Column("answer", Bytes(), nullable=True),
        sa.Column("answer_type", Key(), nullable=True),
        sa.Column("raw", Bytes(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_inbox_state", "inbox", ["state", "id"], unique=False)
    op.create_index(
        "uq_inbox_control",
        "inbox",
        ["sender", "control_id", "content_hash"],
        unique=True,
        sqlite_where=sa.text("control_id IS NOT NULL"),
        postgresql_where=sa.text("control_id IS NOT NULL"),
    )


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("pk", Serial(), nullable=False),
        sa.Column("kind", Key(), nullable=False),
        sa.Column("key", Key(), nullable=False),
        sa.Column("payload", JsonText(), nullable=True),
        sa.Column("queued_at", UtcTime(), nullable=False),
        sa.Column("due_at", UtcTime(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lease_until", UtcTime(), nullable=True),
        sa.Column("lease_owner", Key(), nullable=True),
        sa.Column("state", Key(), nullable=False),
        sa.Column("last_error", Key(), nullable=True),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("key"),
    )
    op.create_index(
        "ix_outbox_dead", "outbox", ["pk"], unique=False, sqlite_where=sa.text("state = 'dead'"), postgresql_where=sa.text("state = 'dead'")
    )
    op.create_index(
        "ix_outbox_due",
        "outbox",
        ["due_at", "pk"],
        unique=False,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )


def _resource() -> None:
    op.create_table(
        "resource",
        sa.Column("pk", Serial(), nullable=False),
        sa.Column("type", Key(), nullable=False),
        sa.Column("id", Key(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("last_updated", UtcTime(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("owner", Key(), nullable=False),
        sa.Column("inbox_id", Key(), nullable=True),
        sa.Column("clock_clinical", Key(), nullable=False),
        sa.Column("clock_message", Key(), nullable=False),
        sa.Column("clock_rank", sa.Integer(), nullable=False),
        sa.Column("body", Bytes(), nullable=False),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("type", "id", name="uq_resource_type_id"),
    )
    op.create_index("ix_resource_type_last_updated", "resource", ["type", "last_updated", "pk"], unique=False)


def _record() -> None:
    op.create_table(
        "record",
        sa.Column("pk", Serial(), nullable=False),
        sa.Column("resource", Serial(), nullable=False),
        sa.Column("patient_id", Key(), nullable=True),
        sa.Column("since", UtcTime(), nullable=False),
        sa.Column("until", UtcTime(), nullable=True),
        sa.Column("orphan", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["resource"],
            ["resource.pk"],
        ),
        sa.PrimaryKeyConstraint("pk"),
    )
    op.create_index(
        "ix_record_orphan",
        "record",
        ["pk"],
        unique=False,
        sqlite_where=sa.text("orphan AND until IS NULL"),
        postgresql_where=sa.text("orphan AND until IS NULL"),
    )
    op.create_index("ix_record_patient", "record", ["patient_id", "resource"], unique=False)
    op.create_index("ix_record_resource", "record", ["resource"], unique=False)


def _referral_case() -> None:
    op.create_table(
        "referral_case",
        sa.Column("service_request_id", Key(), nullable=False),
        sa.Column("resource", Serial(), nullable=False),
        sa.Column("task_id", Key(), nullable=True),
        sa.Column("patient_id", Key(), nullable=True),
        sa.Column("owner", Key(), nullable=False),
        sa.Column("opened_at", UtcTime(), nullable=False),
        sa.Column("state", Key(), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.Column("confirmed", sa.Boolean(), nullable=False),
        sa.Column("checklist", Key(), nullable=False),
        sa.Column("tumour_group", Key(), nullable=False),
        sa.Column("due", sa.Date(), nullable=True),
        sa.Column("urgency", sa.Date(), nullable=False),
        sa.Column("appointment", UtcTime(), nullable=True),
        sa.Column("decide_by", sa.Date(), nullable=True),
        sa.Column("next_change", UtcTime(), nullable=True),
        sa.Column("evaluated_at", UtcTime(), nullable=True),
        sa.Column("open_items", sa.Integer(), nullable=False),
        sa.Column("gates", JsonText(), nullable=True),
        sa.Column("evaluation", JsonText(), nullable=True),
        sa.ForeignKeyConstraint(
            ["resource"],
            ["resource.pk"],
        ),
        sa.PrimaryKeyConstraint("service_request_id"),
        sa.UniqueConstraint("resource"),
    )
    op.create_index(
        "ix_case_next_change",
        "referral_case",
        ["next_change"],
        unique=False,
        sqlite_where=sa.text("next_change IS NOT NULL"),
        postgresql_where=sa.text("next_change IS NOT NULL"),
    )
    op.create_index("ix_case_patient", "referral_case", ["patient_id"], unique=False)
    op.create_index("ix_case_state", "referral_case", ["state", "urgency", "service_request_id"], unique=False)
    op.create_index("ix_case_task", "referral_case", ["task_id"], unique=False)
    op.create_index("ix_case_urgency", "referral_case", ["closed", "urgency", "service_request_id"], unique=False)


def _resource_contributor() -> None:
    op.create_table(
        "resource_contributor",
        sa.Column("resource", Serial(), nullable=False),
        sa.Column("organisation", Key(), nullable=False),
        sa.ForeignKeyConstraint(
            ["resource"],
            ["resource.pk"],
        ),
        sa.PrimaryKeyConstraint("resource", "organisation"),
        sqlite_with_rowid=False,
    )


def _resource_version() -> None:
    op.create_table(
        "resource_version",
        sa.Column("resource", Serial(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("last_updated", UtcTime(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("inbox_id", Key(), nullable=True),
        sa.Column("clock_clinical", Key(), nullable=False),
        sa.Column("clock_message", Key(), nullable=False),
        sa.Column("clock_rank", sa.Integer(), nullable=False),
        sa.Column("body", Bytes(), nullable=False),
        sa.ForeignKeyConstraint(
            ["resource"],
            ["resource.pk"],
        ),
        sa.PrimaryKeyConstraint("resource", "version"),
    )


def _search_date() -> None:
    op.create_table(
        "search_date",
        sa.Column("resource", Serial(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("param", Key(), nullable=False),
        sa.Column("low", Long(), nullable=False),
        sa.Column("high", Long(), nullable=False),
        sa.ForeignKeyConstraint(
            ["resource"],
            ["resource.pk"],
        ),
        sa.PrimaryKeyConstraint("resource", "n"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_search_date_high", "search_date", ["param", "high", "resource", "low"], unique=False)
    op.create_index("ix_search_date_low", "search_date", ["param", "low", "resource", "high"], unique=False)


def _search_reference() -> None:
    op.create_table(
        "search_reference",
        sa.Column("resource", Serial(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("param", Key(), nullable=False),
        sa.Column("target_type", Key(), nullable=False),
        sa.Column("target", Key(), nullable=False),
        sa.ForeignKeyConstraint(
            ["resource"],
            ["resource.pk"],
        ),
        sa.PrimaryKeyConstraint("resource", "n"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_search_reference_target", "search_reference", ["param", "target", "resource", "target_type"], unique=False)


def _search_string() -> None:
    op.create_table(
        "search_string",
        sa.Column("resource", Serial(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("param", Key(), nullable=False),
        sa.Column("folded", Key(), nullable=False),
        sa.Column("exact", Key(), nullable=False),
        sa.ForeignKeyConstraint(
            ["resource"],
            ["resource.pk"],
        ),
        sa.PrimaryKeyConstraint("resource", "n"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_search_string_folded", "search_string", ["param", "folded", "resource"], unique=False)


def _search_token() -> None:
    op.create_table(
        "search_token",
        sa.Column("resource", Serial(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("param", Key(), nullable=False),
        sa.Column("system", Key(), nullable=True),
        sa.Column("code", Key(), nullable=False),
        sa.ForeignKeyConstraint(
            ["resource"],
            ["resource.pk"],
        ),
        sa.PrimaryKeyConstraint("resource", "n"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_search_token_code", "search_token", ["param", "code", "resource", "system"], unique=False)
    op.create_index(
        "ix_search_token_system",
        "search_token",
        ["param", "system", "resource"],
        unique=False,
        sqlite_where=sa.text("system IS NOT NULL"),
        postgresql_where=sa.text("system IS NOT NULL"),
    )


def _case_item() -> None:
    op.create_table(
        "case_item",
        sa.Column("service_request_id", Key(), nullable=False),
        sa.Column("item_id", Key(), nullable=False),
        sa.Column("state", Key(), nullable=False),
        sa.Column("reason", Key(), nullable=False),
        sa.Column("urgency", sa.Date(), nullable=False),
        sa.Column("good_until", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(
            ["service_request_id"],
            ["referral_case.service_request_id"],
        ),
        sa.PrimaryKeyConstraint("service_request_id", "item_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_case_item_item", "case_item", ["item_id", "state", "urgency", "service_request_id"], unique=False)
    op.create_index("ix_case_item_state", "case_item", ["state", "urgency", "service_request_id"], unique=False)


def _case_key() -> None:
    op.create_table(
        "case_key",
        sa.Column("service_request_id", Key(), nullable=False),
        sa.Column("key", Key(), nullable=False),
        sa.ForeignKeyConstraint(
            ["service_request_id"],
            ["referral_case.service_request_id"],
        ),
        sa.PrimaryKeyConstraint("service_request_id", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_case_key_key", "case_key", ["key", "service_request_id"], unique=False)


def _record_link() -> None:
    op.create_table(
        "record_link",
        sa.Column("record", Serial(), nullable=False),
        sa.Column("key", Key(), nullable=False),
        sa.Column("strong", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["record"],
            ["record.pk"],
        ),
        sa.PrimaryKeyConstraint("record", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_record_link_key", "record_link", ["key", "record"], unique=False)
