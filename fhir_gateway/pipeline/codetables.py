"""Code translations a clinic may change: its ConceptMaps in the store, over the shipped tables, for every sender or for some (ADR 0025).

A ConceptMap acts when it is the clinic's own, active, and translates from an HL7 v2 table or from a sender's own code system. What is in force is asked
by one number that grows with every write of a ConceptMap; only when it has moved are they read again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from fhir_gateway.cases.evidence import walk
from fhir_gateway.errors import InvalidError, NotTheClinicError
from fhir_gateway.security.principal import GATEWAY
from fhir_gateway.store import Stored, Transaction
from fhir_gateway.validation import Issue, shapes
from profiles import conceptmaps
from profiles.canonical import NAMESPACE, canonical
from profiles.conceptmaps import Coding, Override, Tables

Json = dict[str, Any]
TYPE: Final = "ConceptMap"
CONTEXT: Final = canonical("CodeSystem", "usage-context")
SENDER: Final = canonical("CodeSystem", "sender")
"""The system of what MSH-4 (or MSH-3) calls a sender, in useContext."""

_V2: Final = re.compile(r"http://terminology\.hl7\.org/CodeSystem/v2-(\d{4})")
_OWN_SYSTEM: Final = f"{NAMESPACE}:sid:"

# Target code system of a shipped table → an element with a required binding to it: what the clinic may translate into is what may stand there.
_BOUND: Final[dict[str, tuple[str, str]]] = {
    "http://hl7.org/fhir/administrative-gender": ("Patient", "gender"),
    "http://hl7.org/fhir/encounter-status": ("Encounter", "status"),
    "http://hl7.org/fhir/request-status": ("ServiceRequest", "status"),
    "http://hl7.org/fhir/request-priority": ("ServiceRequest", "priority"),
    "http://hl7.org/fhir/observation-status": ("Observation", "status"),
    "http://hl7.org/fhir/diagnostic-report-status": ("DiagnosticReport", "status"),
    "http://hl7.org/fhir/allergy-intolerance-category": ("AllergyIntolerance", "category"),
    "http://hl7.org/fhir/allergy-intolerance-type": ("AllergyIntolerance", "type"),
    "http://hl7.org/fhir/allergy-intolerance-criticality": ("AllergyIntolerance", "criticality"),
    "http://hl7.org/fhir/specimen-status": ("Specimen", "status"),
    "http://hl7.org/fhir/appointmentstatus": ("Appointment", "status"),
    "http://hl7.org/fhir/consent-state-codes": ("Consent", "status"),
}
# The same where the element is part of a datatype or backbone, or is a boolean: the codes themselves (FHIR R4, the value set of that name).
_LISTED: Final[dict[str, frozenset[str]]] = {
    "http://terminology.hl7.org/CodeSystem/special-values": frozenset({"true", "false"}),
    "http://hl7.org/fhir/reaction-event-severity": frozenset({"mild", "moderate", "severe"}),
    "http://hl7.org/fhir/address-type": frozenset({"postal", "physical", "both"}),
    "http://hl7.org/fhir/address-use": frozenset({"home", "work", "temp", "old", "billing"}),
    "http://hl7.org/fhir/name-use": frozenset({"usual", "official", "temp", "nickname", "anonymous", "old", "maiden"}),
    "http://hl7.org/fhir/contact-point-use": frozenset({"home", "work", "temp", "old", "mobile"}),
    "http://hl7.org/fhir/contact-point-system": frozenset({"phone", "fax", "email", "pager", "url", "sms", "other"}),
    "http://hl7.org/fhir/consent-provision-type": frozenset({"deny", "permit"}),
}


@dataclass
class Books:
    """The ConceptMaps in force at some moment, and the tables of each sender made of them."""

    shipped: Tables
    maps: Sequence[Stored] = ()
    _made: dict[str, Tables] = field(default_factory=dict)

    def tables(self, sender: str) -> Tables:
        """What the messages of this sender are mapped with. Maps for every sender first, then the sender's own over them, each by its id."""
        made = self._made.get(sender)
        if made is None:
            chosen = [stored for stored in self.maps if _concerns(stored.resource, sender)]
            chosen.sort(key=lambda stored: (bool(senders(stored.resource)), stored.id))
            if len(self._made) > _MOST:
                self._made.clear()
            made = self._made[sender] = self._over(chosen) if chosen else self.shipped
        return made

    def _over(self, chosen: Sequence[Stored]) -> Tables:
        named = " ".join(f"{stored.id}/{stored.version}" for stored in chosen)
        return self.shipped.overridden([override(stored.resource) for stored in chosen], sha256(named.encode()).hexdigest()[:12])


_MOST: Final = 4096


class CodeTables:
    """The tables in force, for the pipeline."""

    def __init__(self, shipped: Tables) -> None:
        self._kept: tuple[int, Books] = (0, Books(shipped))

    def latest(self, sender: str) -> Tables:
        """What this process knows to be in force, without asking: to be checked with `tables` before anything is stored."""
        return self._kept[1].tables(sender)

    def tables(self, tx: Transaction, sender: str) -> Tables:
        """What is in force for a sender now, with this transaction's own writes."""
        return self.current(tx).tables(sender)

    def current(self, tx: Transaction) -> Books:
        """Every sender's tables."""
        generation = tx.resources.generation(TYPE)
        kept = self._kept
        if generation is not None and kept[0] == generation:
            return kept[1]
        held = [stored for stored in tx.on_behalf_of(GATEWAY).resources.clinics_own(TYPE) if acts(stored.resource)]
        books = Books(kept[1].shipped, held)
        if generation is not None:
            self._kept = generation, books
        return books


def acts(resource: Json) -> bool:
    """Does this ConceptMap of the clinic change how messages are mapped?"""
    return resource.get("status") == "active" and any(_translates(group) for group in walk(resource, "group") if isinstance(group, dict))


def senders(resource: Json) -> frozenset[str]:
    """The senders a ConceptMap is for, as useContext names them; empty: for all."""
    contexts = [one for one in walk(resource, "useContext") if isinstance(one, dict) and _is_sender(one)]
    return frozenset(
        str(coding.get("code")) for one in contexts for coding in walk(one, "valueCodeableConcept.coding") if coding.get("system") == SENDER
    )


def override(resource: Json) -> Override:
    """What a ConceptMap says, read for the mapper. Later elements stand over earlier ones of the same code."""
    tables: dict[str, dict[str, Coding]] = {}
    systems: dict[str, dict[str, Coding]] = {}
    settled: set[tuple[str, str]] = set()
    for group in filter(_translates, walk(resource, "group")):
        try:
            key = table_of(group)
        except LookupError:
            continue  # saved under other shipped tables: what can't be used any more must not keep messages out
        for code, coding in conceptmaps.elements(group):
            name = key or group["source"]
            if coding is None:
                settled.add((name, code))
            else:
                (tables if key else systems).setdefault(name, {})[code] = coding
    return Override(tables, systems, frozenset(settled))


def table_of(group: Json) -> str | None:
    """The shipped table a group changes, None for a code system no shipped table translates. Raises LookupError where several could be meant."""
    source, target = str(group.get("source", "")), str(group.get("target", ""))
    pairs = conceptmaps.translating()
    if (source, target) in pairs:
        return pairs[source, target]
    keys = {key: into for (of, into), key in pairs.items() if of == source}
    if not keys:
        return None
    free = [key for key, into in keys.items() if into not in _BOUND and into not in _LISTED]
    if len(keys) == 1 and free:
        return free[0]
    raise LookupError(f"the gateway translates {source} into {', '.join(sorted(into for of, into in pairs if of == source))}")


def guard_map(tx: Transaction, resource: Json) -> None:
    """Let a ConceptMap pass that changes no mapping, or one the mapper can use. Raises NotTheClinicError, InvalidError with the place of every fault."""
    if not acts(resource):
        return
    if tx.principal.organisation or not tx.principal.sees_everything:
        raise NotTheClinicError("Only the clinic may say what a sender's codes mean; send the map as a draft", f"{TYPE}.status")
    faults = [*_context_faults(resource), *_group_faults(resource)]
    if faults:
        raise InvalidError(faults[0].text, issues=faults)


def _concerns(resource: Json, sender: str) -> bool:
    named = senders(resource)
    return not named or sender in named


def _is_sender(context: Json) -> bool:
    code = context.get("code") or {}
    return bool(code.get("system") == CONTEXT and code.get("code") == "sender")


def _translates(group: Json) -> bool:
    source = str(group.get("source", ""))
    return bool(_V2.fullmatch(source)) or source.startswith(_OWN_SYSTEM)


def _context_faults(resource: Json) -> Iterator[Issue]:
    for position, context in enumerate(resource.get("useContext", ())):
        named = [c for c in walk(context, "valueCodeableConcept.coding") if c.get("system") == SENDER and c.get("code")]
        if _is_sender(context) and not named:
            at = f"{TYPE}.useContext[{position}]"
            yield Issue("error", "invalid", f"names no sender: valueCodeableConcept needs a coding of {SENDER} with MSH-4 as its code", at)


def _group_faults(resource: Json) -> Iterator[Issue]:
    for position, group in enumerate(resource.get("group", ())):
        if not _translates(group):
            continue
        at = f"{TYPE}.group[{position}]"
        try:
            table_of(group)
        except LookupError as fault:
            yield Issue("error", "invalid", f"can't be used: {fault.args[0]}", f"{at}.target")
            continue
        for number, element in enumerate(group["element"]):
            yield from _element_faults(element, str(group.get("target", "")), f"{at}.element[{number}]")


def _element_faults(element: Json, target: str, at: str) -> Iterator[Issue]:
    if not element.get("code"):
        yield Issue("error", "invalid", "needs the code that is translated", f"{at}.code")
    targets = element.get("target", [])
    if len(targets) > 1:
        yield Issue("error", "invalid", "says more than one thing; the mapper needs one", f"{at}.target")
    for one in targets[:1]:
        if "code" not in one and one.get("equivalence") != "unmatched":
            yield Issue("error", "invalid", "needs a code, or the equivalence unmatched for a code that has no translation", f"{at}.target[0].code")
        elif "code" in one and not target:
            yield Issue("error", "invalid", "needs the code system of its group's target", f"{at.partition('.element')[0]}.target")
        elif "code" in one and (legal := _legal(target)) and one["code"] not in legal:
            yield Issue("error", "code-invalid", f"'{one['code'][:64]}' is not one of {', '.join(sorted(legal))}", f"{at}.target[0].code")


def _legal(target: str) -> frozenset[str]:
    """The only codes a target code system has where an element is bound to it; empty for any."""
    if target in _LISTED:
        return _LISTED[target]
    if target not in _BOUND:
        return frozenset()
    type, element = _BOUND[target]
    form = shapes.shape_of_resource(type)
    return form.elements[element].codes if form else frozenset()
