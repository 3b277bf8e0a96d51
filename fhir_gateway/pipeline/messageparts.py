"""A message Bundle taken apart and checked, and the response message put together. R4 messaging.html."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import uuid4

from fhir_gateway.cases.messageevent import Event, event_of
from fhir_gateway.errors import InvalidError, operation_outcome
from fhir_gateway.pipeline.entries import Entry
from fhir_gateway.pipeline.submissions import UnsupportedEntryError, identifier_of
from fhir_gateway.store import Stored
from fhir_gateway.store.ids import new_id
from fhir_gateway.validation import Issue, encode, validate
from fhir_gateway.validation.primitives import TEXT
from mappers.result import IdentityKey
from profiles.canonical import NAMESPACE

Json = dict[str, Any]
Code = Literal["ok", "transient-error", "fatal-error"]
HEADER: Final = "Bundle.entry[0].resource"


@dataclass(frozen=True, slots=True)
class Message:
    """A Bundle that claims to be a message. id: of its MessageHeader, or what the fullUrl of its entry ends in; "" when there is neither."""

    bundle: Json
    header: Json
    id: str

    @classmethod
    def of(cls, given: Json) -> Message:
        """The message in a request's body: a Bundle, or a Parameters resource whose `content` it is. Judges nothing."""
        bundle = given
        if given.get("resourceType") == "Parameters":
            parameters = given.get("parameter")
            named = [p for p in parameters if isinstance(p, dict) and p.get("name") == "content"] if isinstance(parameters, list) else []
            inner = named[0].get("resource") if named else None
            bundle = inner if isinstance(inner, dict) else given
        first = next(iter(_entries(bundle)), {})
        inner = first.get("resource")
        header: Json = inner if isinstance(inner, dict) and inner.get("resourceType") == "MessageHeader" else {}
        tail = str(first.get("fullUrl", "")).replace(":", "/").rpartition("/")[2]
        named_id = next((text for text in (header.get("id"), tail) if isinstance(text, str) and TEXT["id"].fullmatch(text)), "")
        return cls(bundle, header, named_id if header else "")

    @property
    def given(self) -> list[Json]:
        """The entries as sent."""
        return _entries(self.bundle)

    @property
    def event(self) -> Event:
        """What has happened; `read_message` has seen that it is known."""
        found = event_of(self.header)
        assert found is not None
        return found

    @property
    def control_id(self) -> str:
        """What the inbox knows it by."""
        return identifier_of(self.bundle) or self.id

    def names(self, sender: str) -> list[IdentityKey]:
        """By what the same sender's message is recognised when it comes again (messaging.html#reliable)."""
        envelope = identifier_of(self.bundle)
        names = [IdentityKey("MessageHeader:RECEIVED", f"{sender}\t{self.id}")]
        return names + ([IdentityKey("Bundle:RECEIVED", f"{sender}\t{envelope}")] if envelope else [])

    def repeats(self, before: Json) -> bool:
        """Is this what came before, in the same envelope or another?"""
        return encode({"entry": self.given}) == encode({"entry": Message.of(before).given})

    def entries(self) -> list[Entry]:
        """Each resource as one to be written, under an id of its own for as long as references are being settled."""
        return [
            Entry(f"Bundle.entry[{n}]", "POST", str(e["resource"]["resourceType"]), new_id(), "", e.get("fullUrl", ""), e["resource"], None, None)
            for n, e in enumerate(self.given)
            if "resource" in e
        ]


def _entries(bundle: Json) -> list[Json]:
    entries = bundle.get("entry")
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def read_message(message: Message) -> None:
    """Is this a message that is understood here? Raises InvalidError with every fault, UnsupportedEntryError for another Bundle or event."""
    bundle = message.bundle
    if bundle.get("resourceType") != "Bundle":
        raise InvalidError("$process-message takes a message: a Bundle, or Parameters with it as content", "resourceType")
    if bundle.get("type") != "message":
        raise UnsupportedEntryError(f"A Bundle of type '{str(bundle.get('type'))[:40]}' is no message; a transaction goes to the base", "Bundle.type")
    if issues := validate(bundle):
        raise InvalidError(issues[0].text, issues=issues)
    if not message.id:
        raise InvalidError("A message needs a MessageHeader.id: the response names it", issues=[Issue("error", "required", "needed", f"{HEADER}.id")])
    if "response" in message.header:
        raise UnsupportedEntryError("This is a response; nothing was asked from here by a message", f"{HEADER}.response")
    if event_of(message.header) is None:
        said = "eventCoding" if "eventCoding" in message.header else "eventUri"
        raise UnsupportedEntryError("The event is not one understood here; see OperationDefinition process-message", f"{HEADER}.{said}")


def response(message: Message, base: str, code: Code, issues: Sequence[Issue], shown: Sequence[Stored], at: datetime) -> Json:
    """The response message: what became of it (MessageHeader.response), why (an OperationOutcome), and the referral's case where there is one."""
    outcome, here = f"urn:uuid:{uuid4()}", base or NAMESPACE
    header: Json = {"resourceType": "MessageHeader", "id": str(uuid4())}
    header |= {key: message.header[key] for key in ("eventCoding", "eventUri") if key in message.header}
    source = message.header.get("source")
    if isinstance(source, dict) and isinstance(source.get("endpoint"), str):
        header["destination"] = [{"endpoint": source["endpoint"]}]
    header |= {"source": {"endpoint": here}, "response": {"identifier": message.id, "code": code, "details": {"reference": outcome}}}
    if shown:
        header["focus"] = [{"reference": f"{here}/{stored.reference}"} for stored in shown]
    return {
        "resourceType": "Bundle",
        "id": str(uuid4()),
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{uuid4()}"},
        "type": "message",
        "timestamp": at.isoformat(timespec="milliseconds"),
        "entry": [
            {"fullUrl": f"urn:uuid:{header['id']}", "resource": header},
            {"fullUrl": outcome, "resource": operation_outcome(issues)},
            *({"fullUrl": f"{here}/{stored.reference}", "resource": stored.resource} for stored in shown),
        ],
    }
