"""The names by which records and referrals find each other.

    ServiceRequest/<id>     strong   a reference
    system|value            strong   an identifier with its assigner
    namespace^value         weak     the assigner's local name only: another hospital may use the same one
    |value                  weak     no assigner at all

A referral answers to all of its forms. A record uses the strong form where it has one, and the weak form that fits what it knows: an identifier whose
system is scoped to its sender (`profiles.canonical.sender_system`) would otherwise never meet the same number sent by somebody else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from fhir_gateway.store.search.references import local
from fhir_gateway.store.stored import Json
from fhir_gateway.store.text import fit
from profiles.canonical import NAMESPACE

_SCOPED: Final = f"{NAMESPACE}:sid:"


class Link(NamedTuple):
    """A name for a referral; strong when it can mean one referral only."""

    key: str
    strong: bool


def referral_keys(service_request: Json) -> frozenset[str]:
    """Every name later records may call this referral by. The identifiers are those of the order and of its group (requisition)."""
    keys = {f"ServiceRequest/{service_request['id']}"}
    for identifier in _identifiers([service_request.get("identifier"), service_request.get("requisition")]):
        value, system = identifier["value"], identifier.get("system")
        keys.add(fit(f"|{value}"))
        if isinstance(system, str) and system:
            keys.add(fit(f"{system}|{value}"))
            if namespace := _namespace(system):
                keys.add(fit(f"{namespace}^{value}"))
    return frozenset(keys)


def record_links(elements: Iterable[Any]) -> frozenset[Link]:
    """The names a record uses: from its References (literal or by identifier) and Identifiers."""
    links: set[Link] = set()
    for element in elements:
        if not isinstance(element, dict):
            continue
        text = element.get("reference")
        here = local(text) if isinstance(text, str) else None
        if here is not None and here[0] == "ServiceRequest":
            links.add(Link(f"ServiceRequest/{here[1]}", strong=True))
        links.update(_by_identifier(element.get("identifier")))
        if "reference" not in element and "identifier" not in element:
            links.update(_by_identifier(element))
    return frozenset(links)


def _by_identifier(identifier: Any) -> Iterator[Link]:
    for found in _identifiers([identifier]):
        value, system = found["value"], found.get("system")
        if not isinstance(system, str) or not system:
            yield Link(fit(f"|{value}"), strong=False)
            continue
        yield Link(fit(f"{system}|{value}"), strong=True)
        if system.startswith(_SCOPED):
            namespace = _namespace(system)
            yield Link(fit(f"{namespace}^{value}" if namespace else f"|{value}"), strong=False)


def _identifiers(values: Iterable[Any]) -> Iterator[Json]:
    for value in values:
        if isinstance(value, list):
            yield from _identifiers(value)
        elif isinstance(value, dict) and isinstance(value.get("value"), str) and value["value"]:
            yield value


def _namespace(system: str) -> str:
    """HD.1 of a sender-scoped system; "" for any other system, or when the identifier had no assigner."""
    return unquote(system.removeprefix(_SCOPED).partition(":")[2]) if system.startswith(_SCOPED) else ""
