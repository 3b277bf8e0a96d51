"""A CoverageEligibilityResponse as the rules read it, whoever answered: one insurance of it, and the service type that speaks for a second opinion.

Shape: `profiles/eligibility.py`. "Indeterminate" stays what it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, Final

from fhir_gateway.cases.days import span
from fhir_gateway.cases.evidence import codings, walk
from fhir_gateway.cases.model import Json
from profiles.eligibility import (
    ANSWERING,
    COVERAGE_CHECKED,
    INDETERMINATE,
    NETWORK_PROVIDER,
    NETWORK_RESTRICTED,
    OTHER_PAYER,
    SECOND_OPINION_REQUIRED,
    SERVICE_TYPE_SYSTEMS,
)

IN: Final = "in"
OUT: Final = "out"
CONTRADICTORY: Final = "The payer calls it active, and gives dates for it that do not hold the day asked about."
NETWORK_ONLY: Final = "nothing is paid out of network"


@dataclass(frozen=True, slots=True)
class Insured:
    """What a response says of one insurance. coverage: "Coverage/id" or "". checked: digest of the Coverage asked about, "" when nobody noted it.

    item: what answers for a second opinion, {} when nothing does; service_type: its X12 code, "" when it names none. unknown: why nobody can say.
    period: benefitPeriod, {} when none is given. others: payers it names beside the one asked.
    """

    coverage: str
    checked: str
    inforce: bool | None
    item: Json
    service_type: str
    unknown: str
    items: tuple[Json, ...]
    period: Json = field(default_factory=dict)
    others: tuple[str, ...] = ()

    @property
    def excluded(self) -> bool:
        """Is the service not covered by the plan?"""
        return self.item.get("excluded") is True

    @property
    def network(self) -> str:
        """`in`, `out`, or "" where nobody said: neither does who tells the benefits in and out of network apart, one item each (X12 EB12)."""
        found = {code for item in self._alike for code in _networks(item)}
        return IN if found == {IN} else OUT if found == {OUT} else ""

    @property
    def either(self) -> bool:
        """Does the plan tell one benefit for both sides of its network (X12 EB12 W)?"""
        return _networks(self.item) == {IN, OUT}

    @property
    def restricted(self) -> str:
        """What the plan restricts the choice of provider to, "" for nothing. One that pays nothing out of network restricts it to its network."""
        shut = not self.excluded and any(one.get("excluded") is True and _networks(one) == {OUT} for one in self._alike)
        return "; ".join(filter(None, (str(extended(self.item, NETWORK_RESTRICTED) or ""), NETWORK_ONLY if shut else "")))

    @property
    def providers(self) -> list[Json]:
        """References to the providers a plan names."""
        return [found for found in extensions(self.item, NETWORK_PROVIDER) if isinstance(found, dict)]

    @property
    def authorisation(self) -> bool | None:
        """Is prior authorisation required? None: unknown. A payer that requires it of a part of the service requires it."""
        return _any(item.get("authorizationRequired") for item in self._alike)

    @property
    def mandated(self) -> bool | None:
        """Does the plan require a second opinion? None: it does not say. Under whichever service type it says so."""
        return _any(extended(item, SECOND_OPINION_REQUIRED) for item in self.items)

    @property
    def _alike(self) -> list[Json]:
        """The items about the service type that answers: a payer may tell parts of it apart."""
        return [item for item in self.items if item is self.item or service_type(item) == self.service_type]

    @property
    def disagreeing(self) -> list[str]:
        """Service types that answer otherwise about being covered, in or out of network, or authorisation."""
        mine = _plain(self.item)
        return [service_type(one) for one in self.items if one is not self.item and not extended(one, INDETERMINATE) and _differs(mine, _plain(one))]


def insured(response: Json) -> list[Insured]:
    """Each insurance of a response, in its order."""
    return [_insured(one) for one in walk(response, "insurance") if isinstance(one, dict)]


def outside(response: Json, period: Json, zone: tzinfo) -> bool:
    """Does the period a payer gives for a plan (benefitPeriod) leave out the day that was asked about?"""
    days = span(next(iter((*walk(response, "servicedDate"), *walk(response, "servicedPeriod.start"))), None), zone)
    begin, end = (span(period.get(name), zone) for name in ("start", "end"))
    return bool(days and ((begin and begin.low > days.high) or (end and end.high < days.low)))


def service_type(item: Json) -> str:
    """The X12 code an item is about, "" when it names none. An item may name a product or service instead of a category."""
    for concept in (item.get("category"), item.get("productOrService")):
        for system, code in codings(concept):
            if system in SERVICE_TYPE_SYSTEMS or "service-type" in system:
                return code
    return ""


def extensions(element: Json, url: str) -> list[Any]:
    """The values of an element's extensions of one url."""
    return [
        value
        for one in walk(element, "extension")
        if isinstance(one, dict) and one.get("url") == url
        for name, value in one.items()
        if name.startswith("value")
    ]


def extended(element: Json, url: str) -> Any:
    """The value of the first extension of one url, None when there is none."""
    return next(iter(extensions(element, url)), None)


def _insured(one: Json) -> Insured:
    items = tuple(item for item in walk(one, "item") if isinstance(item, dict))
    item = _answering(items)
    coverage = next((str(name) for name in walk(one, "coverage.reference")), "")
    inforce = one.get("inforce")
    return Insured(
        coverage=coverage,
        checked=str(extended(one, COVERAGE_CHECKED) or ""),
        inforce=inforce if isinstance(inforce, bool) else None,
        item=item,
        service_type=service_type(item),
        unknown=str(extended(one, INDETERMINATE) or extended(item, INDETERMINATE) or ""),
        items=items,
        period=one["benefitPeriod"] if isinstance(one.get("benefitPeriod"), dict) else {},
        others=tuple(map(str, extensions(one, OTHER_PAYER))),
    )


def _networks(item: Json) -> set[str]:
    return {code for _, code in codings(item.get("network"))}


def _answering(items: Sequence[Json]) -> Json:
    """The item nearest to a second opinion that says something; one nobody could answer only where there is no other."""
    return min(items, key=_distance, default={})


def _distance(item: Json) -> tuple[bool, int]:
    code = service_type(item)
    return extended(item, INDETERMINATE) is not None, ANSWERING.index(code) if code in ANSWERING else len(ANSWERING)


def _any(said: Iterable[Any]) -> bool | None:
    """Yes when one says yes, no when one says no, None when nobody says anything."""
    found = {one for one in said if isinstance(one, bool)}
    return (True in found) if found else None


def _plain(item: Json) -> tuple[Any, ...]:
    network = tuple(sorted(code for _, code in codings(item.get("network"))))
    return item.get("excluded"), network or None, item.get("authorizationRequired")


def _differs(mine: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return any(a is not None and b is not None and a != b for a, b in zip(mine, other, strict=True))
