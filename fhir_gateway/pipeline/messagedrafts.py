"""The resources of a FHIR message as drafts, so that they are settled as those of an HL7 v2 message are (ADR 0027). Pure.

What a resource is known by: its identity keys, which are shared with every other entrance; then, among what the same organisation sent before, its
identifiers with what they are about, the fullUrl of its entry, and where it has no identity of its own its content.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from fhir_gateway.cases.days import instant
from fhir_gateway.cases.evidence import walk
from fhir_gateway.pipeline.entries import Entry
from fhir_gateway.pipeline.identity import identifiers, keys_of
from fhir_gateway.pipeline.references import rewritten
from fhir_gateway.validation import encode
from mappers.result import Clock, Draft, IdentityKey
from mappers.v2.messages.results import RANK

Json = dict[str, Any]

ENRICHED: Final = frozenset({"Patient", "Practitioner", "Organization"})
"""Types that several senders speak of under one name: what one of them leaves out, it does not take away."""
_UNIVERSAL: Final = ("http:", "https:", "urn:uuid:", "urn:oid:")
_ABOUT: Final = ("subject.reference", "patient.reference", "beneficiary.reference", "for.reference")
_REPORTED: Final = {"DiagnosticReport": "issued", "Observation": "issued", "DocumentReference": "date"}
_NOT_CONTENT: Final = ("id", "meta", "text")


def drafts_of(entries: Sequence[Entry], sender: str, made: str) -> list[Draft]:
    """The drafts of a message, in its order; full_url is `Type/id` with the id of its entry. made: when it was sent, as in `Clock.message`."""
    names = Names(entries, sender)
    return [_draft(entry, names, made) for entry in entries if entry.resource is not None]


def clock_text(moment: datetime | str | None) -> str:
    """A moment as `Clock` has it; "" for what is none, or has no time of day."""
    if isinstance(moment, str):
        moment = instant(moment)
    return f"{moment.astimezone(UTC):%Y%m%d%H%M%S%f}" if moment is not None and moment.tzinfo else ""


def _draft(entry: Entry, names: Names, made: str) -> Draft:
    resource = {key: value for key, value in (entry.resource or {}).items() if key != "id"}
    kind = entry.type
    if kind == "ServiceRequest":
        return Draft(resource, f"{kind}/{entry.id}", names.keys(entry), Clock(clinical=made, message=made), steps=True)
    clinical = clock_text(resource.get(_REPORTED.get(kind, "")))
    rank = RANK.get(str(resource.get("status")), 0) if kind in ("DiagnosticReport", "Observation") else 0
    return Draft(
        resource,
        f"{kind}/{entry.id}",
        names.keys(entry),
        Clock(clinical, made, rank),
        merge="enrich" if kind in ENRICHED else "replace",
    )


class Names:
    """The names the resources of one message go by."""

    def __init__(self, entries: Sequence[Entry], sender: str) -> None:
        self._sender = sender
        self._entries = {f"{entry.type}/{entry.id}": entry for entry in entries if entry.resource is not None}
        self._said: dict[str, str] = {}
        self._used = Counter(key for entry in self._entries.values() for key in self._sent(entry))

    def keys(self, entry: Entry) -> tuple[IdentityKey, ...]:
        """Identity keys, strongest first."""
        shared = keys_of(entry.resource or {})
        own = [key for key in self._sent(entry) if self._used[key] == 1]
        if entry.full_url.startswith(_UNIVERSAL):
            own.append(self._key(entry.type, entry.full_url))
        if not shared:
            own.append(self._key(entry.type, self._content(entry)))
        return tuple(dict.fromkeys((*shared, *own)))

    def _key(self, type: str, value: str) -> IdentityKey:
        return IdentityKey(f"{type}:SENT", f"{self._sender}\t{value}")

    def _sent(self, entry: Entry) -> list[IdentityKey]:
        """Identifiers of the sender's own: a number several results share (an accession) names each only together with its code and its subject."""
        resource = entry.resource or {}
        about = "\t".join([*(self._name(str(text)) for path in _ABOUT for text in walk(resource, path)), _code(resource)])
        named = [(one.get("system"), one.get("value")) for one in identifiers(resource) if one.get("use") != "old"]
        return [self._key(entry.type, f"{system}|{value}\t{about}") for system, value in named if system and value]

    def _name(self, reference: str) -> str:
        """What a reference means, in words that the next message about the same has again."""
        entry = self._entries.get(reference)
        if entry is None:
            return reference
        shared = keys_of(entry.resource or {})
        return f"{shared[0].kind} {shared[0].value}" if shared else self._content(entry)

    def _content(self, entry: Entry) -> str:
        """A digest of what the resource says, and of what it points at in turn; a circle is cut where it closes."""
        reference = f"{entry.type}/{entry.id}"
        if reference not in self._said:
            self._said[reference] = ""
            content = {key: value for key, value in (entry.resource or {}).items() if key not in _NOT_CONTENT}
            self._said[reference] = sha256(encode(rewritten(content, self._name))).hexdigest()
        return self._said[reference]


def _code(resource: Json) -> str:
    code = resource.get("code")
    return sha256(encode(code)).hexdigest() if isinstance(code, dict) else ""
