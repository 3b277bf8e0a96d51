"""Patient links: which Patients were said to be one person, over time.

A projection of Patient.link, rebuilt by `reindex`. A row holds from `since` until `until` (NULL: still), so a case can be read as it stood on a day.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from fhir_gateway.store.columns import Key, Serial, UtcTime


class PatientLinkRow(SQLModel, table=True):
    """One stretch of time in which a Patient (`resource`) named another. Two rows, one from either end, so that both are found by `patient_id`."""

    __tablename__ = "patient_link"
    __table_args__ = (
        Index("ix_patient_link_patient", "patient_id", "other_id"),
        Index("ix_patient_link_resource", "resource"),
    )

    pk: int | None = Field(default=None, primary_key=True, sa_type=Serial)
    resource: int = Field(foreign_key="resource.pk", sa_type=Serial)
    patient_id: str = Field(sa_type=Key)
    other_id: str = Field(sa_type=Key)
    since: datetime = Field(sa_type=UtcTime)
    until: datetime | None = Field(default=None, sa_type=UtcTime)
