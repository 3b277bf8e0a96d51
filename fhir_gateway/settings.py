"""Every setting, in one table: environment `GATEWAY_*` or a `.env` file; `fhir-gateway settings` prints it and docs/settings.md is made from it."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """One field is one setting; its description is its documentation."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", env_file=".env", extra="ignore")

    database_url: str = Field(
        "sqlite:///gateway.db", description="SQLAlchemy URL: sqlite:///file, or postgresql+psycopg://… for more than one machine"
    )
    host: str = Field("127.0.0.1", description="Address to listen on (HTTP and MLLP)")
    http_port: int = Field(8080, ge=1, le=65535, description="HTTP port")
    mllp_port: int = Field(2575, ge=1, le=65535, description="MLLP port")
    workers: int = Field(1, ge=1, le=64, description="Processes serving together (more than one needs PostgreSQL)")
    auth: Literal["smart", "off"] = Field(
        "smart",
        description="smart: HTTP callers must sign in (not built yet: they are refused). off: they act as the clinic's administrator, loopback only",
    )
    timezone: str = Field("UTC", description="The clinic's time zone (IANA name): what today, business days and month end mean")
    source_timezone: str = Field("", description="Zone of senders that give local times without one; empty: such a time is kept as a date only")
    clinic_name: str = Field("Second Opinion Clinic", description="Name of the clinic's Organization, owner of every case")
    clinic_npi: str = Field("", pattern=r"^(\d{10})?$", description="The clinic's NPI, by which payers know it; payers can't be asked in X12 without")
    holidays: str = Field("", description="Days the clinic is closed, YYYY-MM-DD separated by commas")
    review_days: int = Field(
        5, ge=0, le=60, description="Business days before the appointment by which records must be in, where a checklist names none"
    )
    request_days: int = Field(7, ge=1, le=90, description="Days until a requested record is due, where neither appointment nor checklist says")
    expire_days: int = Field(
        0, ge=0, le=3650, description="Days after which a referral the clinic has not accepted expires by itself; 0: never, staff let it expire"
    )
    chase: Literal["by-hand", "on-acceptance", "on-receipt"] = Field(
        "by-hand",
        description="When missing records are asked for without a person doing it: never, once the clinic has accepted the case, or as soon as it is received",
    )
    remind_days: str = Field("3,6", description="Days after asking on which an unanswered request is sent again, separated by commas; empty: never")
    escalate_days: int = Field(1, ge=0, le=90, description="Days after its due date when an unanswered request is handed to the staff")
    orphan_days: int = Field(90, ge=1, le=3650, description="Days a record without a referral waits for one; then it is kept, but offered no more")

    x12_codes: Path | None = Field(
        None, description='JSON file of more X12 codes, from lists the site has a licence for: {"1365": {"A7": "words"}} by data element'
    )

    payers: Path | None = Field(None, description="Folder of payer files (*.json); empty: the synthetic ones that come with the program")
    eligibility: Literal["automatic", "by-hand"] = Field(
        "automatic",
        description="automatic: the configured payer of an open case is asked by itself, once for each insurance and month; by-hand: only staff ask",
    )

    mllp_tls_cert: Path | None = Field(None, description="PEM certificate chain: turns MLLP into MLLPS")
    mllp_tls_key: Path | None = Field(None, description="PEM private key of that certificate")
    mllp_tls_ca: Path | None = Field(None, description="PEM of the authority whose client certificates are required")
    mllp_connections: int = Field(200, ge=1, description="MLLP connections open at once; a further one is closed at once")
    mllp_idle_seconds: float = Field(300, gt=0, description="A connection with nothing under way is closed after this time")
    mllp_stall_seconds: float = Field(30, gt=0, description="A half-sent frame is given up after this time without a byte")

    message_bytes: int = Field(64 * 1024 * 1024, ge=1024, description="Largest HL7 v2 message or HTTP body, in bytes")
    bundle_entries: int = Field(1000, ge=1, description="Most entries in one FHIR transaction or batch")
    page_size: int = Field(50, ge=1, description="Search results on a page when _count is not given")
    page_size_max: int = Field(1000, ge=1, description="Largest _count honoured")
    request_seconds: float = Field(60, gt=0, description="An HTTP request is given up after this time")
    threads: int = Field(8, ge=1, le=64, description="Threads that run database work in one process")
    strict_references: bool = Field(True, description="Refuse a local reference to a resource that does not exist")
    update_as_create: bool = Field(True, description="PUT to an id that does not exist creates it")

    base_url: str = Field("", description="Address of the FHIR base as partners reach it (https://…/fhir); empty: this machine's own")
    application: str = Field("GATEWAY", description="Name of this application in HL7 v2 messages it sends (MSH-3)")
    facility: str = Field("", description="Name of the clinic in HL7 v2 messages it sends (MSH-4); empty: the clinic's name")
    send_seconds: float = Field(
        15, gt=0, description="A partner that has not answered a message, request or notification after this time is tried again later"
    )
    retry_hours: float = Field(
        8, gt=0, description="How long something that can't be delivered is tried again before it is given up and shown to staff"
    )

    worker_seconds: float = Field(5, gt=0, description="How often the worker looks for cases whose time has come and for things to send")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe event that is logged")

    @field_validator("timezone", "source_timezone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        if value:
            try:
                ZoneInfo(value)
            except (KeyError, ValueError, OSError):
                raise ValueError(f"{value!r} is not a time zone name such as Europe/Berlin") from None
        return value

    @field_validator("remind_days")
    @classmethod
    def _days_listed(cls, value: str) -> str:
        if not all(part.strip().isdecimal() for part in value.split(",") if part.strip()):
            raise ValueError("names days as whole numbers separated by commas, such as 3,6")
        return value

    @property
    def fhir_base(self) -> str:
        """The FHIR base in what is sent to partners."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.base_url.rstrip("/") or f"http://{host}:{self.http_port}/fhir"

    @property
    def reminders(self) -> tuple[int, ...]:
        """Days after asking, in order."""
        return tuple(sorted(int(part) for part in self.remind_days.split(",") if part.strip()))

    @property
    def zone(self) -> ZoneInfo:
        """The clinic's zone."""
        return ZoneInfo(self.timezone)

    @property
    def source_zone(self) -> ZoneInfo | None:
        """The zone assumed for zone-less local times, None when none may be assumed."""
        return ZoneInfo(self.source_timezone) if self.source_timezone else None


def is_loopback(host: str) -> bool:
    """Does this listening address reach only this machine?"""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
