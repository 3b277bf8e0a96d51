"""A payer as the clinic has configured it: how its plans name it, how it is asked, and what is known of its rules.

One JSON document per payer; docs/coverage.md tells its members. Which payer a Coverage means is decided here and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal, NamedTuple, cast

from fhir_gateway.coverage.document import Fault, Members
from profiles.eligibility import ANSWERING

Json = dict[str, Any]
Channel = Literal["rules", "fhir", "x12"]
Envelope = Literal["core", "raw"]
SignIn = Literal["header", "envelope"]
Network = Literal["open", "named", "closed", "unknown"]

CHANNELS: Final = ("rules", "fhir", "x12")
_SLUG: Final = r"[a-z0-9][a-z0-9-]{0,62}"
_URL: Final = r"https?://[^\s?#@]+"
_ID: Final = r"(?! )(?:(?![*:^~])[ -~]){2,%d}(?<! )"
_ID_WITHOUT: Final = ", none of them * : ^ ~, no blanks around them"
"""An id as X12 can send it in the separators we write (ISA06, ISA08, GS02, GS03, NM109)."""


class PayerError(ValueError):
    """A payer's document that can't be used; `faults` says every reason with its place."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = tuple(faults)


class Name(NamedTuple):
    """An identifier. system "": whatever the system, as senders of HL7 v2 each have their own."""

    system: str
    value: str


@dataclass(frozen=True, slots=True)
class FhirChannel:
    """A payer's FHIR R4 server. base: its address. token_url "": no sign-in. key_file: PEM of our private key (SMART Backend Services)."""

    base: str
    token_url: str = ""
    client_id: str = ""
    key_file: str = ""
    key_id: str = ""
    scope: str = "system/*.*"


@dataclass(frozen=True, slots=True)
class X12Channel:
    """How 270 and 271 are exchanged: at a `url` (in a CAQH CORE envelope, or raw) or through a `folder`: its `out` takes questions, its `in` holds answers.

    Qualifiers, senders and receivers are ISA05 to ISA08 and GS02, GS03; usage is ISA15 (T test, P production); payer_id is NM109 of loop 2100A.
    user: of HTTP Basic, "" for a bearer token; the secret is in the environment variable `secret_variable` or the file `secret_file`, "" for no sign-in.
    sign_in: where they stand, an HTTP `header` or the CORE `envelope`.
    """

    url: str = ""
    folder: str = ""
    sender_qualifier: str = "ZZ"
    sender_id: str = ""
    receiver_qualifier: str = "ZZ"
    receiver_id: str = ""
    application_sender: str = ""
    application_receiver: str = ""
    payer_id: str = ""
    usage: str = "T"
    envelope: Envelope = "core"
    user: str = ""
    sign_in: SignIn = "header"
    secret_variable: str = ""
    secret_file: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """What the payer says of one service type (X12 element 1365). None: nobody knows.

    network: `open` any provider, `named` only `providers`, `closed` only its network. clinic: is this clinic one of them? providers: FHIR References.
    """

    service_type: str
    covered: bool | None = None
    authorisation: bool | None = None
    mandated: bool | None = None
    network: Network = "unknown"
    clinic: bool | None = None
    providers: tuple[Json, ...] = ()
    disclaimer: str = ""


@dataclass(frozen=True, slots=True)
class Payer:
    """name: a slug, as commands and the payer's own view know it. seconds: how long it may take to answer. plan: its InsurancePlan, {} for none."""

    name: str
    title: str
    identifiers: tuple[Name, ...] = ()
    names: tuple[str, ...] = ()
    channel: Channel = "rules"
    seconds: float = 20.0
    fhir: FhirChannel | None = None
    x12: X12Channel | None = None
    plan: Json = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    disclaimer: str = ""
    contact: str = ""


UNKNOWN: Final = Payer("", "a payer nobody has configured")
"""Answered by the rules channel: in force as the Coverage held says, everything else unknown."""


def payer_of(payers: Iterable[Payer], payors: Iterable[Json]) -> Payer | None:
    """The one configured payer these payors mean; None when none is meant, or several are.

    payors: Organizations, References (display, identifier) or both of `Coverage.payor`. An identifier decides before a name; names are compared
    without regard to case and spacing.
    """
    known, asked = list(payers), list(payors)
    identifiers = {(str(one.get("system", "")), str(one["value"])) for payor in asked for one in _identifiers(payor) if one.get("value")}
    by_identifier = {payer.name: payer for payer in known if any(_means(name, identifiers) for name in payer.identifiers)}
    if not by_identifier:
        names = {_folded(value) for payor in asked for value in (payor.get("display"), payor.get("name"), *_list(payor.get("alias"))) if value}
        by_identifier = {payer.name: payer for payer in known if names & {_folded(name) for name in (payer.title, *payer.names)}}
    return next(iter(by_identifier.values())) if len(by_identifier) == 1 else None


def read(text: str | bytes) -> Payer:
    """The payer of a JSON document. Raises PayerError."""
    try:
        value = json.loads(text)
    except ValueError as fault:
        raise PayerError([Fault("", f"this is no JSON: {fault}")]) from None
    if not isinstance(value, dict):
        raise PayerError([Fault("", "must be a JSON object")])
    members = Members(value, "", [])
    payer = _payer(members)
    if members.faults:
        raise PayerError(members.faults)
    return payer


@cache
def shipped() -> dict[str, Payer]:
    """The synthetic payers beside this module, by name. Read once."""
    folder = files("fhir_gateway.coverage") / "payers"
    found = (read(file.read_text("utf-8")) for file in sorted(folder.iterdir(), key=lambda file: file.name) if file.name.endswith(".json"))
    return {payer.name: payer for payer in found}


def _payer(members: Members) -> Payer:
    channel = members.text("channel", one_of=CHANNELS) or "rules"
    fhir, x12 = members.child("fhir"), members.child("x12")
    payer = Payer(
        name=members.text("name", required=True, pattern=_SLUG, wanted="small letters, digits and hyphens, at most 63"),
        title=members.text("title", required=True),
        identifiers=tuple(_identifier(one) for one in members.children("identifier")),
        names=members.texts("names"),
        channel=cast(Channel, channel),
        seconds=members.number("seconds", 0.1, 60) or 20.0,
        fhir=_fhir(fhir) if fhir else None,
        x12=_x12(x12) if x12 else None,
        plan=_plan(members),
        rules=_rules(members),
        disclaimer=members.text("disclaimer"),
        contact=members.text("contact"),
    )
    if channel != "rules" and members.value.get(channel) is None:
        members.fault(channel, f"is missing: the channel is {channel}")
    members.no_others()
    return payer


def _identifier(members: Members) -> Name:
    name = Name(members.text("system"), members.text("value", required=True))
    members.no_others()
    return name


def _fhir(members: Members) -> FhirChannel:
    made = FhirChannel(
        base=members.text("base", required=True, pattern=_URL, wanted="an http or https address without query").rstrip("/"),
        token_url=members.text("tokenUrl", pattern=_URL, wanted="an http or https address without query"),
        client_id=members.text("clientId"),
        key_file=members.text("keyFile"),
        key_id=members.text("keyId"),
        scope=members.text("scope") or "system/*.*",
    )
    if made.token_url:
        for name in ("clientId", "keyFile", "keyId"):
            if not members.value.get(name):
                members.fault(name, "is missing: tokenUrl asks for a sign-in")
    members.no_others()
    return made


def _x12(members: Members) -> X12Channel:
    made = X12Channel(
        url=members.text("url", pattern=_URL, wanted="an http or https address without query"),
        folder=members.text("folder"),
        sender_qualifier=_qualifier(members, "senderQualifier"),
        sender_id=_short(members, "senderId", required=True),
        receiver_qualifier=_qualifier(members, "receiverQualifier"),
        receiver_id=_short(members, "receiverId", required=True),
        application_sender=_short(members, "applicationSender"),
        application_receiver=_short(members, "applicationReceiver"),
        payer_id=members.text("payerId", required=True, pattern=_ID % 80, wanted=f"2 to 80 characters{_ID_WITHOUT}"),
        usage=members.text("usage", one_of=("T", "P")) or "T",
        envelope=cast(Envelope, members.text("envelope", one_of=("core", "raw")) or "core"),
        user=members.text("user", pattern=r"[^:\r\n]+", wanted="a name without colon"),
        sign_in=cast(SignIn, members.text("signIn", one_of=("header", "envelope")) or "header"),
        secret_variable=members.text("secretVariable", pattern=r"[A-Za-z_][A-Za-z0-9_]*", wanted="the name of an environment variable"),
        secret_file=members.text("secretFile"),
    )
    if made.secret_variable and made.secret_file:
        members.fault("secretFile", "name either a variable or a file")
    if made.sign_in == "envelope" and (made.envelope != "core" or not made.user):
        members.fault("signIn", "the envelope must be core, and a user be named")
    if made.user and not (made.secret_variable or made.secret_file):
        members.fault("user", "has no secret: name secretVariable or secretFile")
    if bool(made.url) == bool(made.folder):
        members.fault("url", "name either a url or a folder")
    members.no_others()
    return made


def _qualifier(members: Members, name: str) -> str:
    return members.text(name, pattern=r"[A-Z0-9]{2}", wanted="a qualifier of X12 element I05 (two characters)") or "ZZ"


def _short(members: Members, name: str, *, required: bool = False) -> str:
    return members.text(name, required=required, pattern=_ID % 15, wanted=f"2 to 15 characters{_ID_WITHOUT}")


def _plan(members: Members) -> Json:
    plan = members.child("insurancePlan")
    if plan is None:
        return {}
    if plan.value.get("resourceType") != "InsurancePlan":
        plan.fault("resourceType", "must be InsurancePlan")
    return dict(plan.value)


def _rules(members: Members) -> tuple[Rule, ...]:
    rules: list[Rule] = []
    for one in members.children("rules"):
        rule = _rule(one)
        if rule.service_type in {before.service_type for before in rules}:
            one.fault("serviceType", f"there is a rule for {rule.service_type} already")
        rules.append(rule)
    return tuple(rules)


def _rule(members: Members) -> Rule:
    kind = f"an X12 service type code (the nearest to a second opinion: {', '.join(ANSWERING)})"
    network = members.child("network") or Members({}, members.where, members.faults)
    rule = Rule(
        service_type=members.text("serviceType", required=True, pattern=r"[A-Z0-9]{1,2}", wanted=kind),
        covered=members.answer("covered"),
        authorisation=members.answer("authorisationRequired"),
        mandated=members.answer("secondOpinionRequired"),
        network=cast(Network, network.text("kind", one_of=("open", "named", "closed", "unknown")) or "unknown"),
        clinic=network.answer("clinic"),
        providers=tuple(dict(one.value) for one in network.children("providers")),
        disclaimer=members.text("disclaimer"),
    )
    if rule.network == "named" and not rule.providers:
        network.fault("providers", "is missing: the network is of named providers")
    network.no_others()
    members.no_others()
    return rule


def _means(name: Name, identifiers: set[tuple[str, str]]) -> bool:
    return any(name.value == value and name.system in ("", system) for system, value in identifiers)


def _identifiers(payor: Json) -> list[Json]:
    """Of an Organization (a list) or of a Reference (one)."""
    return [one for one in _list(payor.get("identifier")) if isinstance(one, dict)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _folded(name: Any) -> str:
    return " ".join(str(name).casefold().split())
