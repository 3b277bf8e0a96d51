"""The clinic's own directory for routing: services, roles and affiliations read once and kept until one of them is written, as with checklists."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

from fhir_gateway.cases import routing
from fhir_gateway.cases.days import midnight, span
from fhir_gateway.cases.evidence import text, walk
from fhir_gateway.cases.model import CaseFile, Moment
from fhir_gateway.cases.routing import Directory
from fhir_gateway.pipeline.checklists import Checklists
from fhir_gateway.security.principal import GATEWAY
from fhir_gateway.store import Stored, Transaction
from profiles.servicelines import Line, load

Json = dict[str, Any]
TYPES: Final = ("HealthcareService", "PractitionerRole", "OrganizationAffiliation")
NOBODY: Final = Directory({}, {}, {}, {})


class Directories:
    """What is held now, for the pipeline. A sender's PractitionerRole is a record of its message and never a reviewer here."""

    def __init__(self) -> None:
        self._kept: tuple[int, Directory] | None = None
        self._lines = load()

    def current(self, tx: Transaction) -> Directory:
        """Services, roles and affiliations as held, with this transaction's own writes; no organizations yet."""
        generation = tx.resources.generation(*TYPES)
        kept = self._kept
        if generation is not None and kept is not None and kept[0] == generation:
            return kept[1]
        staff = tx.on_behalf_of(GATEWAY)
        services, roles, affiliations = ({one.reference: one.resource for one in staff.resources.clinics_own(type)} for type in TYPES)
        found = Directory(services, roles, affiliations, {})
        if generation is not None:
            self._kept = generation, found
        return found

    def routed(self, tx: Transaction, flat: Json, file: CaseFile, group: str, at: Moment) -> Json:
        """A flat answer with the case's route. Of another moment's answer the route is still by today's directory: who will see the patient is asked
        of those there are.
        """
        line = self._lines.get(group, Line(group))
        coverages = [record.resource for record in file.records if record.resource.get("resourceType") == "Coverage"]
        directory = self.current(tx)
        if directory.services and directory.affiliations:
            directory = Directory(directory.services, directory.roles, directory.affiliations, _organizations(tx, directory, coverages))
        booked = span(flat["case"]["appointment"], at.zone)
        found = routing.route(line, directory, coverages, booked.low if booked else at.today, at.zone)
        case = {**flat["case"], "route": routing.flat(found)}
        if found.changes and not booked:
            case["nextChange"] = _sooner(case["nextChange"], found.changes, at)
        return {**flat, "case": case}

    @staticmethod
    def saved(tx: Transaction, written: Sequence[Stored], checklists: Checklists, at: datetime) -> None:
        """After a write of the clinic's directory: have the worker judge the open cases again, in its own time."""
        if any(one.type in TYPES and not one.owner for one in written):
            tx.on_behalf_of(GATEWAY).cases.call_again(checklists.current(tx).plans, at)


def _organizations(tx: Transaction, directory: Directory, coverages: Sequence[Json]) -> dict[str, Json]:
    """The networks' and payers' Organizations, and those the networks are part of."""
    sources = [*directory.affiliations.values(), *coverages]
    named = {str(name) for one in sources for path in ("network.reference", "payor.reference") for name in walk(one, path)}
    staff = tx.on_behalf_of(GATEWAY)
    found = {name: stored.resource for name, stored in staff.resources.read_many(sorted(named)).items()}
    owners = {text(one, "partOf.reference") for one in found.values()} - {"", *found}
    return found | {name: stored.resource for name, stored in staff.resources.read_many(sorted(owners)).items()}


def _sooner(planned: str | None, day: date, at: Moment) -> str:
    """The earlier of a case's own next change and a day's midnight."""
    turns = midnight(day, at.zone)
    return turns.isoformat() if planned is None or turns < datetime.fromisoformat(planned) else planned
