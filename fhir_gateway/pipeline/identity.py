"""The identity keys of a resource that came as FHIR: the same names the v2 mapper gives, so that both meet on one resource (ADR 0005)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from mappers.result import IdentityKey

Json = dict[str, Any]

TYPE_SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/v2-0203"
NPI: Final = "http://hl7.org/fhir/sid/us-npi"
# v2-0203 types of a Patient.identifier that name an account, a visit or a document rather than the person.
_NOT_A_PERSON: Final = frozenset({"AN", "VN", "PLAC", "FILL", "ACSN", "DL", "PPN", "SS"})


def keys_of(resource: Json) -> tuple[IdentityKey, ...]:
    """Identity keys of one resource as received; () for types that have none of their own."""
    kind = resource.get("resourceType")
    if kind == "Patient":
        return tuple(IdentityKey("Patient", name) for name, types in _identifiers(resource) if not types & _NOT_A_PERSON)
    if kind in ("Practitioner", "Organization"):
        return tuple(IdentityKey(str(kind), name) for name, _ in _identifiers(resource))
    if kind == "ServiceRequest":
        return tuple(_typed("ServiceRequest", resource, ("PLAC", "FILL")))
    if kind == "Appointment":
        return tuple(IdentityKey("Appointment", name) for name, _ in _identifiers(resource))
    if kind == "ImagingStudy":
        return tuple(IdentityKey("ImagingStudy", name) for name, _ in _identifiers(resource) if name.startswith("urn:dicom:uid|"))
    return ()


def _typed(kind: str, resource: Json, wanted: tuple[str, ...]) -> Iterator[IdentityKey]:
    for name, types in _identifiers(resource):
        for type_code in wanted:
            if type_code in types or (not types and type_code == wanted[0]):
                yield IdentityKey(f"{kind}:{type_code}", name)


def identifiers(resource: Json) -> list[Json]:
    """The identifiers of a resource, whether its type has one or many."""
    given = resource.get("identifier") or []
    return [one for one in (given if isinstance(given, list) else [given]) if isinstance(one, dict)]


def _identifiers(resource: Json) -> Iterator[tuple[str, frozenset[str]]]:
    """Each identifier with a system, as (`system|value`, its v2-0203 type codes)."""
    for identifier in identifiers(resource):
        system, value = identifier.get("system"), identifier.get("value")
        if not system or not value or identifier.get("use") == "old":
            continue
        codings = (identifier.get("type") or {}).get("coding") or ()
        yield f"{system}|{value}", frozenset(c.get("code", "") for c in codings if c.get("system", TYPE_SYSTEM) == TYPE_SYSTEM)
