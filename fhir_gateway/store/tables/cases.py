"""Case projections: what the coordination Task and the last evaluation say, laid out for worklists. All of it can be rebuilt."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from fhir_gateway.store.columns import JsonText, Key, Serial, UtcTime


class CaseRow(SQLModel, table=True):
    """One case per referral. urgency: `due`, or the end of time when there is none, so that the worklist's order is one index.

    evaluation: the whole flat answer of `$completeness`. next_change: when time alone would change it. self_pay: is no plan to be billed? None until
    the case has been judged, and then no payer is shown anything of it.
    """

    __tablename__ = "referral_case"
    __table_args__ = (
        Index("ix_case_urgency", "closed", "urgency", "service_request_id"),
        Index("ix_case_state", "state", "urgency", "service_request_id"),
        Index("ix_case_patient", "patient_id"),
        Index("ix_case_task", "task_id"),
        Index(
            "ix_case_next_change",
            "next_change",
            sqlite_where=text("next_change IS NOT NULL"),
            postgresql_where=text("next_change IS NOT NULL"),
        ),
    )

    service_request_id: str = Field(primary_key=True, sa_type=Key)
    resource: int = Field(foreign_key="resource.pk", unique=True, sa_type=Serial)
    task_id: str | None = Field(default=None, sa_type=Key)
    patient_id: str | None = Field(default=None, sa_type=Key)
    owner: str = Field(sa_type=Key)
    opened_at: datetime = Field(sa_type=UtcTime)
    state: str = Field(sa_type=Key)
    closed: bool
    confirmed: bool
    checklist: str = Field(sa_type=Key)
    tumour_group: str = Field(sa_type=Key)
    due: date | None = None
    urgency: date
    appointment: datetime | None = Field(default=None, sa_type=UtcTime)
    decide_by: date | None = None
    next_change: datetime | None = Field(default=None, sa_type=UtcTime)
    evaluated_at: datetime | None = Field(default=None, sa_type=UtcTime)
    open_items: int
    self_pay: bool | None = None
    gates: Any = Field(default=None, sa_type=JsonText, nullable=True)
    evaluation: Any = Field(default=None, sa_type=JsonText, nullable=True)


class CaseItemRow(SQLModel, table=True):
    """One required record of a case, as last judged. urgency: when it is due, or the end of time."""

    __tablename__ = "case_item"
    __table_args__ = (
        Index("ix_case_item_state", "state", "urgency", "service_request_id"),
        Index("ix_case_item_item", "item_id", "state", "urgency", "service_request_id"),
        {"sqlite_with_rowid": False},
    )

    service_request_id: str = Field(primary_key=True, foreign_key="referral_case.service_request_id", sa_type=Key)
    item_id: str = Field(primary_key=True, sa_type=Key)
    state: str = Field(sa_type=Key)
    reason: str = Field(sa_type=Key)
    urgency: date
    good_until: date | None = None


class CaseKeyRow(SQLModel, table=True):
    """A name later records may call the referral by."""

    __tablename__ = "case_key"
    __table_args__ = (Index("ix_case_key_key", "key", "service_request_id"), {"sqlite_with_rowid": False})

    service_request_id: str = Field(primary_key=True, foreign_key="referral_case.service_request_id", sa_type=Key)
    key: str = Field(primary_key=True, sa_type=Key)
