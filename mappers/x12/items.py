"""EB loops (2110C/D) of one person → insurance.item: one for each service type that answered, one more where a plan answers apart for out of network.

Source: 005010X279A1, EB01 (element 1390), EB03 (1365), EB11, EB12, EB13. Whether an item is in force is left to `standing`, its costs to `amounts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from mappers.result import Json
from mappers.x12.amounts import benefits, tells_amount, unit
from mappers.x12.loops import Loop
from mappers.x12.place import Finding, X12Error
from mappers.x12.segment import Segment
from mappers.x12.standing import DECIDING, NO, UNCLEAR, YES, told
from mappers.x12.values import coding
from profiles.eligibility import (
    BENEFIT_UNIT,
    NETWORK,
    SERVICE_TYPES,
)
from profiles.x12codes import Codes

MAX_BENEFITS: Final = 10_000
"""Benefits of one person, each service type of each EB counted."""
MAX_SERVICES: Final = 99
PLAN: Final = "30"
"""The service type of the plan as a whole, which an EB that names neither service type nor procedure is about."""
ABOUT_THE_ANSWER: Final = frozenset("PR")
"""EB01 that speaks of the whole answer (disclaimer, another payer) and makes no item."""
_TEXTS: Final = frozenset("DEF")
_SIDES: Final = {"Y": ("in",), "N": ("out",), "W": ("in", "out")}
_PROCEDURES: Final = {"CJ": "http://www.ama-assn.org/go/cpt", "HC": "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"}

Subject = tuple[str, str]
"""Service type and procedure (EB13 as sent) an item is about; either may be ""."""


class Told(NamedTuple):
    """An item, its service type ("" for none) and what it says of being in force: yes, no, both (a contradiction), "" nothing."""

    item: Json
    service: str
    verdict: str


def items(loops: Sequence[Loop], codes: Codes, findings: list[Finding]) -> list[Told]:
    """The items, in the order in which the payer first named their service types; in network before out of network.

    Raises X12Error over MAX_BENEFITS, or over MAX_SERVICES repetitions of EB03.
    """
    count = 0
    groups: dict[Subject, list[Loop]] = {}
    for loop in loops:
        eb = loop.segments[0]
        if makes_item(eb):
            services = dict.fromkeys(eb.repeats(3) or ["" if eb.raw(13) else PLAN])
            if len(services) > MAX_SERVICES:
                raise X12Error(f"more than {MAX_SERVICES} service types in one element", eb.where(3))
            if (count := count + len(services)) > MAX_BENEFITS:
                raise X12Error(f"more than {MAX_BENEFITS:,} benefits of one person", eb.where())
            for service in services:
                groups.setdefault((service, eb.raw(13)), []).append(loop)
    return [_item(subject, side, part, codes, findings) for subject, group in groups.items() for side, part in _by_side(group)]


def makes_item(eb: Segment) -> bool:
    """Is it about a service type, and not about the answer as a whole?"""
    return eb.value(1) not in ABOUT_THE_ANSWER and (eb.value(1) != "U" or bool(eb.raw(3)))


def in_force(made: Iterable[Told]) -> tuple[bool | None, str]:
    """What the items say of the plan as a whole: yes, no, or None and why nobody can say. The plan's own service type (30) goes before the others."""
    words: dict[str, set[str]] = {}
    for one in made:
        if one.verdict:
            words.setdefault(one.service, set()).add(one.verdict)
    said = {service: "both" if "both" in found else "yes" if "yes" in found else "no" for service, found in words.items()}
    if not said:
        return None, "the payer did not say whether the plan is in force"
    if said.get(PLAN) == "yes" or set(said.values()) == {"yes"}:
        return True, ""
    if set(said.values()) == {"no"}:
        return False, ""
    return None, "the payer's answers contradict each other"


def _by_side(group: list[Loop]) -> Iterator[tuple[tuple[str, ...], list[Loop]]]:
    """The group as one, or as in and out of network where it answers for both apart; what names no network counts for both.

    What is said of one side goes before what is said in general: "active" and "not covered out of network" contradict each other in nothing (EB12).
    """
    named = {loop.segments[0].value(12) for loop in group}
    if {"Y", "N"} <= named or (named & {"Y", "N"} and _sides_differ(group)):
        for side in ("in", "out"):
            yield (side,), _of_side(group, side)
    else:
        yield next((sides for code, sides in _SIDES.items() if code in named), ()), group


def _sides_differ(group: list[Loop]) -> bool:
    """Is one side of the network decided otherwise than the service type in general?"""
    said: dict[bool, set[str]] = {True: set(), False: set()}
    for loop in group:
        eb = loop.segments[0]
        if eb.value(1) in DECIDING:
            said[eb.value(12) in ("Y", "N")].add("yes" if eb.value(1) in YES else UNCLEAR if eb.value(1) == UNCLEAR else "no")
    return bool(said[True] and said[False]) and said[True] != said[False]


def _of_side(group: list[Loop], side: str) -> list[Loop]:
    """What is said of one side, and in general; of that no verdict where the side has its own."""
    near = [loop for loop in group if side in _SIDES.get(loop.segments[0].value(12), ("in", "out"))]
    decided = any(_SIDES.get(loop.segments[0].value(12)) == (side,) and loop.segments[0].value(1) in DECIDING for loop in near)
    return [loop for loop in near if not decided or loop.segments[0].value(1) not in DECIDING or _SIDES.get(loop.segments[0].value(12)) == (side,)]


def _item(subject: Subject, sides: tuple[str, ...], group: list[Loop], codes: Codes, findings: list[Finding]) -> Told:
    service, procedure = subject
    extensions, verdict, excluded = told(group)
    made: Json = {"extension": extensions} if extensions else {}
    if service:
        made["category"] = {"coding": [coding(SERVICE_TYPES, service, codes.display("1365", service))]}
    else:
        made["productOrService"] = _procedure(procedure, group[0])
    if excluded or verdict == "yes":
        made["excluded"] = excluded
    ebs = [loop.segments[0] for loop in group]
    if names := list(dict.fromkeys(eb.text(5) for eb in ebs if eb.text(5) and eb.value(1) not in _TEXTS)):
        made["name"] = "; ".join(names)
    if texts := list(dict.fromkeys([*([f"Procedure {procedure}"] if service and procedure else []), *_kinds(ebs, codes), *_texts(group)])):
        made["description"] = "\n".join(texts)
    if sides:
        made["network"] = {"coding": [coding(NETWORK, side) for side in sides]}
    costs = [loop for loop in group if tells_amount(loop.segments[0])]
    made |= _benefits(costs, codes, findings)
    if (required := _authorisation({eb.value(11) for eb in ebs})) is not None:
        made["authorizationRequired"] = required
    return Told(made, service, verdict)


def _benefits(costs: list[Loop], codes: Codes, findings: list[Finding]) -> Json:
    """`benefit`, and `unit` where all of them are of the same; otherwise each keeps its own."""
    made = benefits(costs, codes, findings)
    if not made:
        return {}
    units = {loop.segments[0].value(2) for loop in costs}
    if len(units) > 1 or "" in units:
        return {"benefit": made}
    for benefit in made:
        benefit["extension"] = [one for one in benefit["extension"] if one["url"] != BENEFIT_UNIT]
        if not benefit["extension"]:
            del benefit["extension"]
    return {"unit": {"coding": [unit(units.pop())]}, "benefit": made}


def _authorisation(said: set[str]) -> bool | None:
    """EB11: required if any says so; not required only if none leaves it open."""
    if "Y" in said:
        return True
    return False if "N" in said and "U" not in said else None


def _texts(group: list[Loop]) -> Iterator[str]:
    """What describes the benefit, its limits and exclusions; sentences (MSG) are kept as disclaimers."""
    for loop in group:
        eb = loop.segments[0]
        if eb.value(1) in _TEXTS and eb.text(5):
            yield eb.text(5)


def _kinds(ebs: Iterable[Segment], codes: Codes) -> Iterator[str]:
    """The kind of insurance (EB04) of those that say whether it is in force."""
    for kind in dict.fromkeys(eb.value(4) for eb in ebs if eb.value(1) in YES | NO):
        if kind:
            yield f"Insurance type: {codes.display('1336', kind) or kind}"


def _procedure(raw: str, loop: Loop) -> Json:
    eb = loop.segments[0]
    kind, code = eb.value(13, 1), eb.value(13, 2)
    return {"coding": [coding(_PROCEDURES[kind], code)]} if kind in _PROCEDURES and code else {"text": raw}
