"""The intake desk: records without a case, with the cases they may belong to; staff attach or reject them, and what nobody wants expires.

A record is attached by linking its Patient with the case's, so everything else about that Patient follows too; each decision is one Linkage that says who
decided, and an audit row. See ADR 0014 and 0015.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from fhir_gateway.cases.evidence import text, walk
from fhir_gateway.cases.linkage import whole
from fhir_gateway.cases.matching import BOUNDS, SHORTEST, Match, match
from fhir_gateway.errors import ConflictError, InvalidError, NotFoundError
from fhir_gateway.events import event
from fhir_gateway.pipeline.casework import Casework
from fhir_gateway.pipeline.merging import join, parted, said_at
from fhir_gateway.pipeline.translate import translated
from fhir_gateway.security.principal import GATEWAY, Principal
from fhir_gateway.store import Case, Store, Stored, Transaction
from fhir_gateway.store.records import aspect

Json = dict[str, Any]

MOST_CANDIDATES: Final = 10


@dataclass(frozen=True, slots=True)
class Orphans:
    """days: how long a record waits before it is given up."""

    store: Store
    casework: Casework
    clock: Callable[[], datetime]
    days: int

    def listed(self, principal: Principal, limit: int, *, expired: bool = False) -> list[Json]:
        """Records no case has taken in, oldest first, each with candidate cases, the likeliest first; expired: those that were given up, without.

        Read on the principal's behalf; the candidates are looked for among everything only for those who may see it.
        """
        with translated(), self.store.snapshot(principal) as tx:
            rows = [stored for _, stored in tx.cases.orphans(limit, expired=expired)]
            known: dict[str | None, list[Json]] = {None: []}
            for stored in rows:
                patient = _patient_of(stored)
                if patient not in known:
                    known[patient] = [] if expired else self._candidates(tx, str(patient))
            return [_line(stored, known[_patient_of(stored)]) for stored in rows]

    def attach(self, principal: Principal, record: str, name: str, *, anyway: bool = False) -> Json:
        """Say that a record (or `Patient/id`) is the case's patient's; the case's flat answer. anyway: although the two are certainly not the same.

        Raises NotFoundError, ConflictError when it is attached already, InvalidError for a record that names no patient or somebody else.
        """

        def work(tx: Transaction, case: Case, patient: str) -> list[Stored]:
            person = tx.identities.person(str(case.patient_id))
            if patient in person:
                raise ConflictError(f"{record} is attached: its patient is the patient of this case")
            found = self._match(tx, case, patient)
            if found.grade == "certainly-not" and not anyway:
                against = ", ".join(name for name, said in found.signs if said in ("differs", "unknown"))
                raise InvalidError(f"{record} is about somebody else as far as can be told ({against}); attach it anyway only if you know better")
            event("orphan-attached", patient=patient, case=case.service_request_id, how=found.grade)
            return join(tx, str(case.patient_id), patient, active=True, who=principal.name, now=self.clock(), clock=said_at(self.clock()))

        return self._decided(principal, record, name, "attach", work)

    def reject(self, principal: Principal, record: str, name: str) -> Json:
        """Say that a record (or `Patient/id`) is not the case's patient's: it is offered for this case no more, and taken out of it if it was attached.

        Raises NotFoundError, InvalidError for a record of the very Patient the referral names, ConflictError where the two are linked through a third.
        """

        def work(tx: Transaction, case: Case, patient: str) -> list[Stored]:
            own = str(case.patient_id)
            if patient == own:
                raise InvalidError(f"{record} is about the very patient the referral names; judge the record instead (case judge … wrong-patient)")
            linked = _links_of(tx, patient) & tx.identities.person(own)
            written: list[Stored] = []
            for other in sorted(linked | {own}):
                written += join(tx, other, patient, active=False, who=principal.name, now=self.clock(), clock=said_at(self.clock()))
            if patient in tx.identities.person(own):
                through = ", ".join(f"Patient/{id}" for id in sorted(_links_of(tx, patient)))
                raise ConflictError(f"{record} is still linked with this case's patient through {through}; reject those first")
            event("orphan-rejected", patient=patient, case=case.service_request_id)
            return written

        return self._decided(principal, record, name, "reject", work)

    def expire(self, limit: int) -> int:
        """Give up records that have waited too long, each with an audit row; how many. They stay as they are, and are offered no more."""
        now = self.clock()
        cutoff = now - timedelta(days=self.days)
        with self.store.snapshot(GATEWAY) as tx:
            if not tx.cases.orphans_overdue(cutoff):
                return 0

        def work(tx: Transaction) -> int:
            given_up = tx.cases.expire_orphans(cutoff, limit)
            for kind, identity in given_up:
                tx.audit.append("expire", kind, identity)
            return len(given_up)

        done = self.store.run(GATEWAY, now, work)
        if done:
            event("orphans-expired", records=done)
        return done

    def _decided(self, principal: Principal, record: str, name: str, action: str, work: Callable[[Transaction, Case, str], list[Stored]]) -> Json:
        def whole_work(tx: Transaction) -> Json:
            case = tx.cases.get(name, lock=True)
            if case is None:
                raise NotFoundError("There is no such case")
            patient = self._subject(tx, record)
            if case.patient_id is None:
                raise InvalidError("The referral of this case names no patient; correct the referral first", "ServiceRequest.subject")
            written = work(tx.on_behalf_of(Principal("gateway", "", principal.name)), case, patient)
            tx.audit.append(action, "Patient", patient, detail=f"ServiceRequest/{case.service_request_id} for {record}")
            self.casework.after(tx, written, self.clock())
            return self.casework.flat(tx, f"ServiceRequest/{case.service_request_id}", None, self.clock())

        with translated():
            return self.store.run(principal, self.clock(), whole_work)

    def _subject(self, tx: Transaction, record: str) -> str:
        """Patient id of a record. Raises NotFoundError, InvalidError for one that names no patient."""
        kind, _, identity = record.partition("/")
        stored = tx.resources.read(kind, identity) if identity else None
        if stored is None or stored.deleted:
            raise NotFoundError(f"There is no {record[:100]}; name a record as Type/id")
        patient = stored.id if kind == "Patient" else _patient_of(stored)
        if patient is None:
            raise InvalidError(f"{record} names no patient who could be linked; have it sent again with its patient, or with the referral's number")
        return patient

    def _match(self, tx: Transaction, case: Case, patient: str) -> Match:
        people = tx.identities.person(str(case.patient_id))
        held = {stored.id: stored.resource for stored in tx.resources.read_many([f"Patient/{id}" for id in (*people, patient)]).values()}
        other = held.get(patient, {})
        return match(whole(str(case.patient_id), {id: held[id] for id in people if id in held}) or {}, other)

    def _candidates(self, tx: Transaction, patient: str) -> list[Json]:
        """Open cases whose patient may be this one, not those of whom somebody said that it is not."""
        stored = tx.resources.read("Patient", patient)
        if stored is None or stored.deleted:
            return []
        numbers = [value for value in walk(stored.resource, "identifier.value") if isinstance(value, str) and len(value) >= SHORTEST]
        mates = [mate.id for mate in tx.identities.alike(stored.resource, numbers)]
        cases = [case for case in tx.cases.for_patient(mates) if not case.closed and case.patient_id] if mates else []
        graded = [(self._match(tx, case, patient), case) for case in cases if not parted(tx, str(case.patient_id), patient)]
        offered = [(found, case) for found, case in graded if found.grade != "certainly-not"]
        offered.sort(key=lambda one: (list(BOUNDS).index(one[0].grade), -one[0].score, one[1].service_request_id))
        return [_candidate(tx, found, case) for found, case in offered[:MOST_CANDIDATES]]


def _patient_of(stored: Stored) -> str | None:
    found = aspect(stored.resource)
    return found.patient_id if found else None


def _links_of(tx: Transaction, patient: str) -> set[str]:
    """Patients linked with this one directly, from either side."""
    people = tx.resources.read_many([f"Patient/{id}" for id in sorted(tx.identities.person(patient))])
    mine = {str(r).removeprefix("Patient/") for r in walk(people[f"Patient/{patient}"].resource, "link.other.reference")}
    theirs = {stored.id for stored in people.values() if f"Patient/{patient}" in walk(stored.resource, "link.other.reference")}
    return mine | theirs


def _candidate(tx: Transaction, found: Match, case: Case) -> Json:
    referral = tx.resources.read("ServiceRequest", case.service_request_id)
    return {
        "case": case.service_request_id,
        "referral": next(iter(walk(referral.resource, "identifier.value")), None) if referral else None,
        "tumourGroup": case.tumour_group,
        "grade": found.grade,
        "score": found.score,
        "signs": dict(found.signs),
    }


def _line(stored: Stored, candidates: list[Json]) -> Json:
    resource = stored.resource
    concepts = [concept for element in ("code", "type", "category") for concept in walk(resource, element) if isinstance(concept, dict)]
    title = next(
        (name for c in concepts for name in (text(c, "text"), *map(str, walk(c, "coding.display")), *map(str, walk(c, "coding.code"))) if name), ""
    )
    patient = _patient_of(stored)
    return {
        "record": stored.reference,
        "title": title,
        "status": text(resource, "status"),
        "received": stored.last_updated.isoformat(timespec="seconds"),
        "sender": stored.owner,
        "patient": f"Patient/{patient}" if patient else None,
        "candidates": candidates,
    }
