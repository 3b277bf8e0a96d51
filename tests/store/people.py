"""Who asks, when, and small synthetic resources for the store's tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from fhir_gateway.security.principal import Principal

CLINIC = Principal("clinic", name="nurse")
NORTHSIDE = Principal("referrer", organisation="NORTHSIDE", name="ehr")
LABORATORY = Principal("referrer", organisation="LAB", name="lis")
PAYER = Principal("payer", organisation="ACME", name="payer")
NOW = datetime(2026, 9, 1, 10, 0, 0, 123456, tzinfo=UTC)


def later(**delta: float) -> datetime:
    """A moment after NOW."""
    return NOW + timedelta(**delta)


def patient(family: str = "Marlowe", value: str = "MRN-1", **more: Any) -> dict[str, Any]:
    """A Patient with one identifier and one name."""
    return {
        "resourceType": "Patient",
        "identifier": [{"system": "urn:oid:1.2.3", "value": value}],
        "name": [{"family": family, "given": ["Ines"]}],
        "birthDate": "1971-03-14",
        **more,
    }


def referral(patient_id: str, number: str = "REF-1", system: str = "urn:oid:1.2.9", **more: Any) -> dict[str, Any]:
    """A ServiceRequest with a placer number."""
    return {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "identifier": [{"system": system, "value": number}],
        "subject": {"reference": f"Patient/{patient_id}"},
        **more,
    }


def report(patient_id: str, title: str = "x", **more: Any) -> dict[str, Any]:
    """A DiagnosticReport about a patient."""
    return {
        "resourceType": "DiagnosticReport",
        "status": "final",
        "code": {"text": title},
        "subject": {"reference": f"Patient/{patient_id}"},
        **more,
    }


def named(number: str, system: str | None = "urn:oid:1.2.9") -> list[dict[str, Any]]:
    """basedOn that names a referral by its number."""
    return [{"type": "ServiceRequest", "identifier": {"value": number, **({"system": system} if system else {})}}]
