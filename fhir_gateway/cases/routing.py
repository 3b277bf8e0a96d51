"""Who reviews a case: its tumour group's service line, the reviewers that line has on the day, and whether the patient's plan reaches them. Pure.

Read from FHIR R4 as the clinic holds it (ADR 0018):

    HealthcareService        type, specialty, program or category has the service line; active, notAvailable
    PractitionerRole         specialty is one of the line's kinds of reviewer; healthcareService names the service, or none; active, period, notAvailable
    OrganizationAffiliation  network: the insurance networks its participatingOrganization belongs to; active, period, healthcareService
    Organization             a network's names, and the payer it is part of
    Coverage                 network (the plan's own name for it), else payor; status active, period

What an element does not say excludes nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, tzinfo
from typing import Final, Literal

from fhir_gateway.cases.days import plus, span
from fhir_gateway.cases.evidence import codings, text, walk
from fhir_gateway.cases.model import Code, Json
from fhir_gateway.cases.permission import identity
from profiles.canonical import canonical
from profiles.servicelines import Line

SERVICE_LINES: Final = canonical("CodeSystem", "service-line")
Reason = Literal["no-service-line", "no-reviewer", "none-in-network", "unknown-network", "no-coverage"]
MOST: Final = 10
"""Reviewers named, those in the patient's network first."""
# Where a HealthcareService may say which line it is.
LINE_IN: Final = ("type", "specialty", "program", "category")


@dataclass(frozen=True, slots=True)
class Directory:
    """What the clinic holds about itself: resources by "Type/id". organizations: those that affiliations name as networks, and payers."""

    services: Mapping[str, Json]
    roles: Mapping[str, Json]
    affiliations: Mapping[str, Json]
    organizations: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Reviewer:
    """role: "PractitionerRole/id". in_network: None when that can't be told."""

    role: str
    name: str
    specialty: Json | None
    service: str
    in_network: bool | None


@dataclass(frozen=True, slots=True)
class Route:
    """Where a case goes. in_network: true when a reviewer is in the patient's network, false when none is, None when that can't be told.

    reason: why there is nobody, or nobody in the network; None when there is. changes: the next day on which time alone may change this.
    """

    line: Line
    service: str | None = None
    service_name: str = ""
    reviewers: tuple[Reviewer, ...] = ()
    in_network: bool | None = None
    reason: Reason | None = None
    changes: date | None = None


def route(line: Line, directory: Directory, coverages: Iterable[Json], day: date, zone: tzinfo) -> Route:
    """The route of a case of this line on a day: the appointment's, today's until one is booked."""
    return _Routing(line, directory, [one for one in coverages if _in_force(one, day, zone)], day, zone).route()


def flat(found: Route) -> Json:
    """As the flat answer of a case has it, under `route`."""
    return {
        "serviceLine": found.line.code,
        "reviewerKinds": list(found.line.reviewers),
        "service": found.service,
        "serviceName": found.service_name or None,
        "reviewers": [
            {"role": one.role, "name": one.name, "specialty": one.specialty, "service": one.service, "inNetwork": one.in_network}
            for one in found.reviewers
        ],
        "inNetwork": found.in_network,
        "reason": found.reason,
    }


class _Routing:
    """One question to the directory."""

    def __init__(self, line: Line, directory: Directory, coverages: Sequence[Json], day: date, zone: tzinfo) -> None:
        self.line, self.directory, self.coverages, self.day, self.zone = line, directory, coverages, day, zone
        self.wanted = frozenset(name for coverage in coverages for name in self._wanted(coverage))
        self.kinds = {(kind["system"], kind["code"]): position for position, kind in enumerate(line.reviewers)}
        self.looked_at: list[Json] = [*coverages]

    def route(self) -> Route:
        services = {name: one for name, one in self.directory.services.items() if self._is_line(one) and self._serves(one)}
        found = sorted(self._reviewers(services), key=lambda one: (one[0].in_network is not True, one[1], one[0].role))
        reviewers = [reviewer for reviewer, _ in found]
        chosen = reviewers[0].service if reviewers else next(iter(services), None)
        reaches = {one.in_network for one in reviewers}
        in_network = True if True in reaches else False if reaches == {False} else None
        return Route(
            self.line,
            chosen,
            text(services[chosen], "name") if chosen else "",
            tuple(reviewers[:MOST]),
            in_network,
            self._reason(bool(services), bool(reviewers), in_network),
            self._changes(),
        )

    def _reason(self, served: bool, reviewed: bool, in_network: bool | None) -> Reason | None:
        if not served:
            return "no-service-line"
        if not reviewed:
            return "no-reviewer"
        if in_network is False:
            return "none-in-network"
        if in_network is None:
            return "unknown-network" if self.coverages else "no-coverage"
        return None

    def _reviewers(self, services: Mapping[str, Json]) -> Iterator[tuple[Reviewer, int]]:
        """Every reviewer of these services, with the rank of the specialty."""
        for name, role in self.directory.roles.items():
            named = [str(reference) for reference in walk(role, "healthcareService.reference")]
            service = next((one for one in services if one in named or not named), None)
            held = {code: concept for concept in walk(role, "specialty") for code in codings(concept)}
            fitting = sorted((self.kinds[code], code) for code in held if code in self.kinds)
            if service is None or (self.kinds and not fitting) or not self._serves(role):
                continue
            rank, code = fitting[0] if fitting else (0, next(iter(held), None))
            networks = self._networks(self._organisation(role, services[service]), service)
            yield Reviewer(name, _who(role), _coding(held, code), service, self._reaches(networks)), rank

    def _is_line(self, service: Json) -> bool:
        return (SERVICE_LINES, self.line.code) in {code for element in LINE_IN for concept in walk(service, element) for code in codings(concept)}

    def _serves(self, one: Json) -> bool:
        """Active, in its period, and not away on the day."""
        self.looked_at.append(one)
        away = any(_covers(period, self.day, self.zone) for period in walk(one, "notAvailable.during"))
        return one.get("active") is not False and not away and all(_covers(period, self.day, self.zone) for period in walk(one, "period"))

    # Networks

    @staticmethod
    def _organisation(role: Json, service: Json) -> str:
        return text(role, "organization.reference") or text(service, "providedBy.reference")

    def _networks(self, organisation: str, service: str) -> set[str]:
        """Names of the networks an organisation belongs to with this service on the day."""
        names: set[str] = set()
        for one in self.directory.affiliations.values():
            limited = [str(reference) for reference in walk(one, "healthcareService.reference")]
            same = bool(organisation) and text(one, "participatingOrganization.reference") == organisation
            if same and (not limited or service in limited) and self._serves(one):
                names |= self._names(one)
        return names

    def _names(self, affiliation: Json) -> set[str]:
        """Every name of an affiliation's networks, and of the payers they are part of."""
        return {name for network in walk(affiliation, "network") for name in self._named(network)}

    def _named(self, reference: Json, depth: int = 2) -> set[str]:
        """What a Reference to an Organization calls it, what the Organization calls itself, and so for those it is part of."""
        names = identity(reference)
        held = self.directory.organizations.get(text(reference, "reference"))
        if held is None:
            return names
        names |= {str(one).casefold() for path in ("name", "alias", "identifier.value") for one in walk(held, path)}
        return names.union(*(self._named(owner, depth - 1) for owner in walk(held, "partOf"))) if depth else names

    def _wanted(self, coverage: Json) -> set[str]:
        """What the patient's network is called: Coverage.network where the plan names one, else whoever pays."""
        network = text(coverage, "network").casefold()
        return {network} if network else {name for payor in walk(coverage, "payor") for name in self._named(payor, 0)}

    def _reaches(self, networks: set[str]) -> bool | None:
        if self.wanted & networks:
            return True
        known = {name for one in self.directory.affiliations.values() for name in self._names(one)}
        return False if self.wanted & known else None

    def _changes(self) -> date | None:
        """The first day after this on which a period of anything looked at begins or is over."""
        days = [
            day for one in self.looked_at for path in ("period", "notAvailable.during") for period in walk(one, path) for day in self._ends(period)
        ]
        return min((day for day in days if day > self.day), default=None)

    def _ends(self, period: Json) -> Iterator[date]:
        start, end = span(period.get("start"), self.zone), span(period.get("end"), self.zone)
        if start:
            yield start.low
        if end:
            yield plus(end.high, 1)


def _in_force(coverage: Json, day: date, zone: tzinfo) -> bool:
    return coverage.get("status") == "active" and all(_covers(period, day, zone) for period in walk(coverage, "period"))


def _covers(period: Json, day: date, zone: tzinfo) -> bool:
    start, end = span(period.get("start"), zone), span(period.get("end"), zone)
    return (start is None or start.low <= day) and (end is None or end.high >= day)


def _who(role: Json) -> str:
    return text(role, "practitioner.display") or text(role, "practitioner.reference") or text(role, "code.text")


def _coding(held: Mapping[Code, Json], code: Code | None) -> Json | None:
    if code is None:
        return None
    return next((dict(one) for one in walk(held[code], "coding") if (one.get("system", ""), one.get("code")) == code), None)
