"""The CapabilityStatement, made from what is there: the resource types, the search parameter files, the routes."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any, Final

from fhir_gateway.cases.messageevent import OWN, Saying, sayings
from fhir_gateway.pipeline import Gateway
from fhir_gateway.validation.types import TYPES
from profiles import searchparameters
from profiles.canonical import canonical

Json = dict[str, Any]

INTERACTIONS: Final = ("read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type")
SYSTEM_INTERACTIONS: Final = ("transaction", "batch", "history-system", "search-system")
OPERATIONS: Final[dict[str, tuple[str, ...]]] = {
    "CoverageEligibilityRequest": ("submit",),
    "Patient": ("everything", "match"),
    "PlanDefinition": ("questionnaire",),
    "ServiceRequest": ("authorise", "completeness", "opinion"),
}
EVERY_TYPE: Final = ("meta", "meta-add", "meta-delete", "validate")
SYSTEM_OPERATIONS: Final = ("meta", "process-message")
"""Type → operations on it, those on every type, those on none; profiles/operationdefinition has the definition of each."""
TRANSPORT: Final = "http://terminology.hl7.org/CodeSystem/message-transport"
MESSAGES: Final = (
    "Message Bundles about a referral, answered at once by a message Bundle. The same message, known by Bundle.identifier or MessageHeader.id, gets the same"
    " answer however late it comes again. MessageHeader.event (eventCoding, or eventUri as `system#code`) is one of:"
)
SERVED_SINCE: Final = "2026-11-22"


def statement(base: str, gateway: Gateway) -> Json:
    """`GET /fhir/metadata`. `base` is the address this client used."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": SERVED_SINCE,
        "kind": "instance",
        "software": {"name": "Second Opinion Gateway", "version": version("second-opinion-gateway")},
        "implementation": {"description": f"{gateway.settings.clinic_name}: second-opinion referrals", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "patchFormat": ["application/json-patch+json", "application/merge-patch+json"],
        "rest": [
            {
                "mode": "server",
                "security": {"description": sign_in(gateway)},
                "resource": _resources(gateway.settings.update_as_create),
                "interaction": [{"code": code} for code in SYSTEM_INTERACTIONS],
                "operation": [_operation(name) for name in SYSTEM_OPERATIONS],
            }
        ],
        "messaging": [
            {
                "endpoint": [{"protocol": {"system": TRANSPORT, "code": "http"}, "address": f"{base}/$process-message"}],
                "documentation": _messages(),
            }
        ],
    }


@cache
def _messages() -> str:
    """Which messages are taken, as markdown. In words, since `supportedMessage` (0..*) names MessageDefinitions: of ours there are none, and of those of the
    guides that name these events not everything is done. No `reliableCache`: it is a number of minutes, and what came is never forgotten.
    """
    lines = [MESSAGES, ""]
    for event in OWN:
        said = [saying for saying in sayings() if saying.event == event]
        lines.append(f"- {event}: {', '.join(_said(one) for one in said)}")
    return "\n".join(lines)


def _said(saying: Saying) -> str:
    code = f"`{saying.system}#{saying.code}`" if saying.system else f"`{saying.code}` of any system"
    return f"{code} with MessageHeader.reason `{saying.reason}`" if saying.reason else code


def smart_configuration(gateway: Gateway) -> Json:
    """`GET /fhir/.well-known/smart-configuration` (SMART App Launch 2, conformance). Empty lists and no token endpoint say that nobody can sign in here.

    Clients that look here first, fhir-kit-client for one, then go on without a token.
    """
    return {
        "grant_types_supported": [],
        "code_challenge_methods_supported": [],
        "scopes_supported": [],
        "capabilities": [],
        "description": sign_in(gateway),
    }


def sign_in(gateway: Gateway) -> str:
    """How one signs in, for people."""
    if gateway.settings.auth == "off":
        return "Sign-in is switched off: this server listens on a loopback address only and everyone is the clinic's administrator."
    return "Every request is refused until sign-in (SMART Backend Services) is available."


@cache
def _resources(update_as_create: bool) -> list[Json]:
    by_type: dict[str, list[Json]] = {}
    common: list[Json] = []
    references = [(p.type, p.code, p.targets) for p in searchparameters.load() if p.kind == "reference"]
    pointing: dict[str, list[str]] = {}
    for holder, code, _ in references:
        pointing.setdefault(holder, []).append(code)
    for parameter in searchparameters.load():
        entry = {"name": parameter.code, "definition": parameter.derived_from or parameter.url, "type": parameter.kind}
        (common if parameter.type == "Resource" else by_type.setdefault(parameter.type, [])).append(entry)
    return [
        {
            "type": type,
            "interaction": [{"code": code} for code in INTERACTIONS],
            "versioning": "versioned-update",
            "readHistory": True,
            "updateCreate": update_as_create,
            "conditionalCreate": True,
            "conditionalRead": "full-support",
            "conditionalUpdate": True,
            "conditionalDelete": "single",
            "searchInclude": ["*", *(f"{type}:{name}" for name in pointing.get(type, ()))],
            **({"searchRevInclude": pointed} if (pointed := [f"{other}:{name}" for other, name, targets in references if type in targets]) else {}),
            "searchParam": [*common, *sorted(by_type.get(type, ()), key=lambda entry: str(entry["name"]))],
            "operation": [_operation(name) for name in (*OPERATIONS.get(type, ()), *EVERY_TYPE)],
        }
        for type in sorted(TYPES)
    ]


def _operation(name: str) -> Json:
    return {"name": name, "definition": canonical("OperationDefinition", name)}
