"""Where mappers disagree, decided once. Each row is proved by tests/mappers/test_disagreements.py and shown in docs/disagreements.md.

Guide: HL7 v2-to-FHIR. The others are Microsoft's FHIR-Converter, LinuxForHealth, Zato and hl7v2-fhir-bridge, read in 2026.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Disagreement(NamedTuple):
    """field, value: what is sent. others: who maps it to what. element, ours: what it is here. why: what decided it."""

    field: str
    value: str
    others: str
    element: str
    ours: str
    why: str


DISAGREEMENTS: Final = (
    Disagreement(
        "RF1-1", "P", "draft (Zato), on-hold (Microsoft); the guide has no RF1", "ServiceRequest.status", "active",
        "Pending says that the receiver has not answered; the placer's request stands and is to be worked on. The original goes along.",
    ),
    Disagreement(
        "ORC-1", "CA", "active (guide), revoked (Microsoft)", "ServiceRequest.status", "active",
        "CA asks for a cancellation the filler may refuse; the order ends with OC, CR or the filler's ORC-5.",
    ),
    Disagreement(
        "OBX-11", "I", "blank (guide), registered (LinuxForHealth, Zato), unknown (Microsoft)", "Observation.status", "registered",
        "The specimen is in the laboratory and the result pending: that is what registered means.",
    ),
    Disagreement(
        "OBX-11", "D", "entered-in-error (guide, Microsoft), cancelled (LinuxForHealth)", "Observation.status", "entered-in-error",
        "The record is deleted, not the examination called off: nobody may rely on it.",
    ),
    Disagreement(
        "PID-8", "N", "other (guide), unknown (LinuxForHealth)", "Patient.gender", "other",
        "Not applicable is a statement, not an absence of one.",
    ),
    Disagreement(
        "TXA-17", "AU", "preliminary (Microsoft), final (Zato); the guide gives no codes", "DocumentReference.docStatus", "final",
        "Authenticated is what a signature does; only what is signed is final.",
    ),
    Disagreement(
        "IN1-2", "PPO^Blue PPO", "identifier (guide), class (Microsoft, Zato)", "Coverage.class[plan].value", "PPO",
        "A plan id is shared by everyone in the plan; an identifier of the Coverage would make them one.",
    ),
    Disagreement(
        "IN1-17", "SPO", "IN1-17 as it stands (guide, Zato), IN2-72 only (Microsoft)", "Coverage.relationship", "spouse",
        "IN1-17 says what the insured is to the patient and is turned round; IN2-72 says it the way FHIR does and stands where IN1-17 says nothing.",
    ),
    Disagreement(
        "MSH-9", "ADT^A04", "planned (guide's event map), in-progress (guide's patient class map)", "Encounter.status", "arrived",
        "Who is registered has come and has not been seen yet: the event says more than the patient class.",
    ),
)  # fmt: skip
