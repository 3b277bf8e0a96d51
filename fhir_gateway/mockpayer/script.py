"""The script of the mock payer: members, scenarios, and the steps of each, one JSON document. docs/coverage.md tells its members.

A scenario is a list of steps; each question takes the next one, and the last is repeated.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any, Final

from fhir_gateway.coverage.document import Fault, Members

FAULTS: Final = ("no-answer", "http-error", "malformed", "breaks-specification", "somebody-else")
DECISIONS: Final = ("approved", "denied", "pended", "more-information")
VERDICTS: Final = ("covered", "excluded", "inactive", "cannot-process")
NETWORKS: Final = ("in", "out")
LEVELS: Final = ("payer", "provider", "subscriber", "patient")
_MOST: Final = 1e9


class ScriptError(ValueError):
    """A script that can't be played; its words say every reason with its place."""


@dataclass(frozen=True, slots=True)
class Named:
    """A provider the plan names. npi: "" where the payer gives none."""

    name: str
    npi: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """What the payer says of one service type (X12 element 1365). None: it says nothing. Amounts are US dollars, coinsurance is percent.

    says: one or more of VERDICTS; several contradict each other.
    """

    type: str
    says: tuple[str, ...] = ()
    authorisation: bool | None = None
    network: str = ""
    mandated: bool = False
    copay: float | None = None
    coinsurance: float | None = None
    deductible: float | None = None
    deductible_left: float | None = None
    out_of_pocket: float | None = None
    providers: tuple[Named, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One answer about eligibility. fault: how it fails instead. seconds: how long it takes. status: of an HTTP error.

    reject: AAA03, follow_up: AAA04, level: in whose loop. starts, ends: of the plan, CCYY-MM-DD, "" when not said.
    """

    fault: str = ""
    seconds: float = 0.0
    status: int = 503
    reject: str = ""
    follow_up: str = ""
    level: str = "patient"
    plan: str = ""
    inforce: bool | None = None
    starts: str = ""
    ends: str = ""
    disclaimer: str = ""
    services: tuple[Service, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """One answer about an authorisation. number: preAuthRef; days: how long it holds; documents: LOINC codes wanted; reason: in words."""

    decision: str
    number: str = ""
    days: int = 90
    reason: str = ""
    documents: tuple[str, ...] = ()
    fault: str = ""
    seconds: float = 0.0
    status: int = 503


@dataclass(frozen=True, slots=True)
class Scenario:
    """about: in words. eligibility, authorisation: the steps, at least one of the first."""

    about: str
    eligibility: tuple[Step, ...]
    authorisation: tuple[Decision, ...] = ()


@dataclass(frozen=True, slots=True)
class Script:
    """members: member number → name of its scenario. Who is not among them is not found (AAA03 75)."""

    title: str
    number: str
    members: dict[str, str]
    scenarios: dict[str, Scenario]


STRANGER: Final = Step(reject="75", follow_up="C")


@cache
def shipped() -> Script:
    """The script that comes with the program."""
    return read((files("fhir_gateway.mockpayer") / "script.json").read_bytes())


def read(text: str | bytes) -> Script:
    """The script of a JSON document. Raises ScriptError."""
    try:
        value = json.loads(text)
    except ValueError as fault:
        raise ScriptError(f"this is no JSON: {fault}") from None
    if not isinstance(value, dict):
        raise ScriptError("the script must be a JSON object")
    faults: list[Fault] = []
    script = _script(Members(value, "", faults))
    if faults:
        raise ScriptError("; ".join(map(str, faults)))
    return script


def _script(members: Members) -> Script:
    scenarios = members.child("scenarios") or Members({}, "scenarios", members.faults)
    found = {name: _scenario(one) for name in scenarios.value if (one := scenarios.child(name))}
    script = Script(members.text("title", required=True), members.text("number", required=True), _names(members, found), found)
    members.no_others()
    return script


def _names(members: Members, scenarios: dict[str, Scenario]) -> dict[str, str]:
    named = members.child("members") or Members({}, "members", members.faults)
    return {member: named.text(member, required=True, one_of=scenarios) for member in named.value}


def _scenario(members: Members) -> Scenario:
    steps = tuple(_step(one) for one in members.children("eligibility"))
    decisions = tuple(_decision(one) for one in members.children("authorisation"))
    if not steps:
        members.fault("eligibility", "is missing: a scenario has at least one step")
    scenario = Scenario(members.text("about", required=True), steps, decisions)
    members.no_others()
    return scenario


def _step(members: Members) -> Step:
    step = Step(
        fault=members.text("fault", one_of=FAULTS),
        seconds=members.number("seconds", 0, 600) or 0.0,
        status=int(members.number("status", 400, 599) or 503),
        reject=members.text("reject"),
        follow_up=members.text("followUp"),
        level=members.text("level", one_of=LEVELS) or "patient",
        plan=members.text("plan"),
        starts=members.text("from"),
        ends=members.text("until"),
        disclaimer=members.text("disclaimer"),
    )
    step = replace(step, inforce=members.answer("inforce"), services=tuple(_service(one) for one in members.children("services")))
    members.no_others()
    return step


def _service(members: Members) -> Service:
    says = members.texts("says")
    for place, word in enumerate(says):
        if word not in VERDICTS:
            members.fault(f"says[{place}]", f"must be one of {', '.join(VERDICTS)}")
    amounts: dict[str, Any] = {name: members.number(_camel(name), 0, _MOST) for name in ("copay", "deductible", "deductible_left", "out_of_pocket")}
    service = Service(
        type=members.text("serviceType", required=True),
        says=says,
        authorisation=members.answer("authorisationRequired"),
        network=members.text("network", one_of=NETWORKS),
        mandated=bool(members.answer("secondOpinionRequired")),
        coinsurance=members.number("coinsurance", 0, 100),
        providers=tuple(_named(one) for one in members.children("providers")),
        **amounts,
    )
    members.no_others()
    return service


def _named(members: Members) -> Named:
    named = Named(members.text("name", required=True), members.text("npi"))
    members.no_others()
    return named


def _decision(members: Members) -> Decision:
    decision = Decision(
        decision=members.text("decision", required=True, one_of=DECISIONS),
        number=members.text("number"),
        days=int(members.number("days", 1, 3650) or 90),
        reason=members.text("reason"),
        documents=members.texts("documents"),
        fault=members.text("fault", one_of=FAULTS),
        seconds=members.number("seconds", 0, 600) or 0.0,
        status=int(members.number("status", 400, 599) or 503),
    )
    members.no_others()
    return decision


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
