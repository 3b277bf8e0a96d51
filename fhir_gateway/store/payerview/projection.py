"""The rows that say which payer is shown what, kept up person by person in the transaction that writes. Costs nothing while no payer is configured."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, tzinfo
from typing import Any, Final

from sqlalchemy import BindParameter, Executable, Select, bindparam, delete, literal_column, select

from fhir_gateway.store import identities, tables
from fhir_gateway.store.outbox import Outbox
from fhir_gateway.store.pairs import PairLookup
from fhir_gateway.store.payers import PayerDocument, Payers
from fhir_gateway.store.payerview.restricted import Forbidden
from fhir_gateway.store.payerview.shares import NOBODY, PATIENT, Held, Known, patient_of, shares
from fhir_gateway.store.payerview.shares import Payers as Shown
from fhir_gateway.store.resources import COLUMNS, stored_of
from fhir_gateway.store.search.references import local
from fhir_gateway.store.stored import Json
from fhir_gateway.store.work import Work, Written
from profiles.days import midnight
from profiles.payerview import RELEASED, VIEWS
from profiles.restriction import turns

PayerOf = Callable[[Sequence[Json]], str | None]
"""The name of the one configured payer that some payors mean. payors: References and Organizations of `Coverage.payor`; None when none is meant."""
PayersOf = Callable[[Sequence[PayerDocument]], PayerOf | None]
"""Who tells that, as payers are configured in the database at this moment; None while none is."""
_S: Final = tables.payer_share
_REL: Final = tables.payer_release
_R: Final = tables.resource
_C: Final = tables.case
_REF: Final = tables.reference
_PARAMETERS: Final = tuple(f"{type}.{element}" for type, element in PATIENT.items() if type not in (*RELEASED, "ServiceRequest"))
_PEOPLE: Final[BindParameter[list[str]]] = bindparam("people", expanding=True)


def _of_people(column: Any) -> Select[Any]:
    return select(*COLUMNS).where(_R.c.deleted.is_(False), column)


def _about(parameters: Iterable[str]) -> Select[Any]:
    """What names one of these people by one of these parameters, which are spelled out: the statement is then the same every time (`store.prepared`)."""
    named = _REF.c.param.in_([literal_column(f"'{name}'") for name in parameters])
    return _of_people(_R.c.pk.in_(select(_REF.c.resource).where(named, _REF.c.target.in_(_PEOPLE), _REF.c.target_type == "Patient")))


_ABOUT: Final = _about(_PARAMETERS)
QUESTION: Final = "CoverageEligibilityRequest"
ANSWER: Final = "CoverageEligibilityResponse"  # with it, `profiles.payerview.QUESTIONS`
_INSURED: Final = _about(("Coverage.beneficiary", "Consent.patient"))
_ANSWERED: Final = (
    select(_REF.c.resource)
    .where(_REF.c.param == f"{ANSWER}.request", _REF.c.target.in_(bindparam("ids", expanding=True)), _REF.c.target_type == QUESTION)
    .limit(1)
)
_CASES: Final = select(*COLUMNS, _C.c.self_pay).join(_C, _C.c.resource == _R.c.pk).where(_C.c.patient_id.in_(_PEOPLE))
_RELEASED: Final = (
    select(*COLUMNS, _REL.c.payer, _REL.c.service_request_id)
    .join(_REL, _REL.c.resource == _R.c.pk)
    .join(_C, _C.c.service_request_id == _REL.c.service_request_id)
    .where(_C.c.patient_id.in_(_PEOPLE), _C.c.self_pay.is_(False), _R.c.deleted.is_(False))
)
_NAMED: Final = PairLookup(select(*COLUMNS), _R.c.type, _R.c.id)
_ROWS: Final = select(_S.c.payer, _S.c.resource, _S.c.patient_id).where(_S.c.patient_id.in_(_PEOPLE))
_WHOSE: Final = select(_S.c.patient_id).where(_S.c.resource.in_(bindparam("resources", expanding=True))).distinct()
_WAS_ABOUT: Final = select(tables.record.c.patient_id).where(tables.record.c.resource.in_(bindparam("resources", expanding=True))).distinct()
_PAYORS: Final = (
    select(_REF.c.target.label("organisation"), _R.c.pk)
    .join(_R, _R.c.pk == _REF.c.resource)
    .where(_REF.c.param == "Coverage.payor", _REF.c.target.in_(bindparam("ids", expanding=True)), _REF.c.target_type == "Organization")
)
_END: Final = delete(_S).where(_S.c.payer == bindparam("whom"), _S.c.resource == bindparam("what"))
_BATCH: Final = 500
_CHANGES: Final = frozenset({*VIEWS, "Consent", "Organization"})
"""Types a change of which may change what is shown, whoever it is about."""
TURN: Final = "payer-view"
"""Kind of the outbox job that brings a person's rows up to date on the day a Consent begins to hold, or ends. payload: patient, a Patient id."""


class ShareProjection:
    """source: asked in every transaction, as payers may be put by another process; while none is configured nobody is shown anything. zone: the clinic's,
    of days in Consents.
    """

    def __init__(self, source: PayersOf | None = None, zone: tzinfo = UTC) -> None:
        self.source, self.zone = source, zone

    def payer_of(self, work: Work) -> PayerOf | None:
        """As payers are configured now."""
        return self.source(Payers(work).list()) if self.source is not None else None

    def write(self, work: Work, written: Sequence[Written]) -> None:
        """See Projection."""
        last = list({one.pk: one for one in written}.values())
        people = {patient_of(one.stored.resource) for one in last if _tells(one)}
        changed = [one.pk for one in last if not one.created and one.stored.type in _CHANGES]
        if not (people or changed) or (payer_of := self.payer_of(work)) is None:
            return
        if not changed and (questions := _questions(work, last)):
            self._add(work, people - {""}, questions, payer_of)
            return
        if changed:
            people.update(work.execute(_WHOSE, {"resources": changed}).scalars())
        if consents := [one.pk for one in last if one.stored.type == "Consent" and not one.created]:
            people.update(id for id in work.execute(_WAS_ABOUT, {"resources": consents}).scalars() if id)
        people |= _insured(work, [one for one in last if one.stored.type == "Organization" and not one.created])
        self.settle(work, people - {""}, last)

    def _add(self, work: Work, ids: Iterable[str], questions: Sequence[Written], payer_of: PayerOf) -> None:
        """The rows of new questions about eligibility and of their answers: what else is shown of these people does not hang on them, and they may be many."""
        people = sorted(identities.lately(work, ids))
        if not people:
            return
        work.lock(f"patient:{id}" for id in people)
        held = {row.pk: Held(row.pk, stored_of(row)) for row in work.execute(_INSURED, {"people": people})}
        coverages = [one.stored.resource for one in held.values() if one.stored.type == "Coverage"]
        payers = {coverage["id"]: _payers_of(work, coverage, payer_of) for coverage in coverages}
        if not any(payers.values()) and not any(one.stored.owner.startswith("payer/") for one in questions):
            return
        forbids = self._forbidden(work, [one.stored.resource for one in held.values() if one.stored.type == "Consent"], people, payer_of)
        told = {(one.stored.type, one.stored.id) for one in questions}
        asked = [here for one in questions if (here := _question(one)) is not None and here not in told]
        held.update((row.pk, Held(row.pk, stored_of(row))) for row in _NAMED.rows(work, asked) if not row.deleted)
        held.update((one.pk, Held(one.pk, one.stored)) for one in questions)
        new = {one.pk for one in questions}
        wanted = shares(Known(list(held.values()), lambda coverage: payers[coverage["id"]], forbids=forbids))
        _put(work, [(payer, pk, patient) for (payer, pk), patient in sorted(wanted.items()) if pk in new])

    def settle(self, work: Work, ids: Iterable[str], written: Sequence[Written] = ()) -> None:
        """Bring the rows about these people up to date. written: resources whose search rows are still to come."""
        work.shown.clear()
        payer_of = self.payer_of(work)
        if payer_of is None or not (people := identities.lately(work, ids)):
            return
        work.lock(f"patient:{id}" for id in people)
        for whole in set(identities.persons(work, people).values()):
            self._settle(work, sorted(whole), written, payer_of)

    def _settle(self, work: Work, people: list[str], written: Sequence[Written], payer_of: PayerOf) -> None:
        held = {(row.payer, row.resource): row.patient_id for row in work.execute(_ROWS, {"people": people})}
        wanted = shares(self._known(work, people, written, payer_of))
        gone = [{"whom": payer, "what": pk} for payer, pk in held.keys() - wanted.keys()]
        if gone:
            work.execute(_END, gone)
        _put(work, [(payer, pk, wanted[payer, pk]) for payer, pk in sorted(wanted.keys() - held.keys())])

    def _known(self, work: Work, people: list[str], written: Sequence[Written], payer_of: PayerOf) -> Known:
        found = {row.pk: Held(row.pk, stored_of(row)) for row in work.execute(_ABOUT, {"people": people})}
        for one in written:
            if one.stored.type in PATIENT and one.stored.type not in (*RELEASED, "ServiceRequest"):
                found.pop(one.pk, None)
                if not one.stored.deleted and patient_of(one.stored.resource) in people:
                    found[one.pk] = Held(one.pk, one.stored)
        coverages = [held.stored for held in found.values() if held.stored.type == "Coverage"]
        payers = {coverage.reference: _payers_of(work, coverage.resource, payer_of) for coverage in coverages}
        asked = any(held.stored.owner.startswith("payer/") for held in found.values())
        if not any(payers.values()) and not asked:
            return Known((), lambda _: NOBODY)
        consents = [held.stored.resource for held in found.values() if held.stored.type == "Consent"]
        forbids = self._forbidden(work, consents, people, payer_of)
        cases = work.execute(_CASES, {"people": people}).all()
        found.update((row.pk, Held(row.pk, stored_of(row[:-1]))) for row in cases if row.self_pay is False and not row.deleted)
        released, documents = self._released(work, people, forbids)
        found.update(documents)
        found.update((row.pk, Held(row.pk, stored_of(row))) for row in _NAMED.rows(work, [("Patient", id) for id in people]) if not row.deleted)
        attached = {pk: [row.pk for row in _NAMED.rows(work, _binaries(held.stored.resource))] for pk, held in documents.items()}
        withheld = any(row.self_pay is not False for row in cases)
        return Known(list(found.values()), lambda coverage: payers[f"Coverage/{coverage['id']}"], released, attached, withheld, forbids)

    def _forbidden(self, work: Work, consents: Sequence[Json], people: list[str], payer_of: PayerOf) -> Forbidden:
        """What these Consents forbid today; on the days when that changes by itself, the rows are brought up to date."""
        today = work.now.astimezone(self.zone).date()
        for day in turns(consents, today, self.zone):
            Outbox(work).put(TURN, f"{TURN}/{people[0]}/{day}", {"patient": people[0]}, midnight(day, self.zone))
        return Forbidden(consents, lambda payor, beside: _meant(work, payor, beside, payer_of), today, self.zone)

    def _released(self, work: Work, people: list[str], forbids: Forbidden) -> tuple[dict[int, Shown], dict[int, Held]]:
        """Who each document about these people is released to, and the documents."""
        payers: dict[int, Shown] = {}
        documents: dict[int, Held] = {}
        for row in work.execute(_RELEASED, {"people": people}):
            held = Held(row.pk, stored_of(row[:-2]))
            about = (held.stored.reference, f"ServiceRequest/{row.service_request_id}")
            if patient_of(held.stored.resource) in people and not forbids(row.payer, about, document=True):
                documents[row.pk] = held
                payers[row.pk] = payers.get(row.pk, NOBODY) | {row.payer}
        return payers, documents


def _put(work: Work, come: Sequence[tuple[str, int, str]]) -> None:
    """Rows of (payer, surrogate key, Patient id)."""

    def build() -> Executable:
        insert = work.insert(_S)
        return insert.on_conflict_do_update(index_elements=[_S.c.payer, _S.c.resource], set_={"patient_id": insert.excluded.patient_id})

    if come:
        work.execute(work.known("payer shares", build), [{"payer": payer, "resource": pk, "patient_id": patient} for payer, pk, patient in come])


def _questions(work: Work, written: Sequence[Written]) -> list[Written]:
    """What was written, when it is new questions about eligibility and answers to such, and nothing else that tells; none otherwise."""
    telling = [one for one in written if _tells(one)]
    for one in telling:
        answered = _question(one) if one.stored.type == ANSWER else None
        plain = one.created and (one.stored.type == QUESTION or (one.stored.type == ANSWER and (answered is None or answered[0] == QUESTION)))
        if not plain:
            return []
    asked = [one.stored.id for one in telling if one.stored.type == QUESTION]
    early = bool(asked) and work.execute(_ANSWERED, {"ids": asked[:_BATCH]}).first() is not None
    return [] if early or len(asked) > _BATCH else telling


def _question(one: Written) -> tuple[str, str] | None:
    """(type, id) of what an answer is to, None for a question, or where that is not held here."""
    asked = one.stored.resource.get("request")
    return local(str(asked.get("reference", ""))) if isinstance(asked, dict) else None


def _payers_of(work: Work, coverage: Json, payer_of: PayerOf) -> Shown:
    """Each payor by itself: a Coverage with two payors is each one's."""
    payors = [one for one in coverage.get("payor") or () if isinstance(one, dict)]
    return frozenset(name for one in payors if (name := _meant(work, one, coverage, payer_of)))


def _meant(work: Work, payor: Json, beside: Json, payer_of: PayerOf) -> str | None:
    """The payer a Reference means, with the Organization it points at: held here, or contained in the resource it stands in."""
    text = str(payor.get("reference", ""))
    here = local(text)
    meant = [payor]
    if here and here[0] == "Organization":
        meant += [stored_of(row).resource for row in _NAMED.rows(work, [here]) if not row.deleted]
    meant += [one for one in beside.get("contained") or () if isinstance(one, dict) and text == f"#{one.get('id')}"]
    return payer_of(meant)


def _tells(one: Written) -> bool:
    """Can a write change what anybody is shown? A document is shown when it is released; a referral names a plan; a Patient may be joined to another."""
    resource = one.stored.resource
    if one.stored.deleted or one.stored.type in RELEASED:
        return False  # whose rows a deleted resource had is looked up
    if one.stored.type == "ServiceRequest":
        return "insurance" in resource
    return one.stored.type in PATIENT or (one.stored.type == "Patient" and "link" in resource)


def _insured(work: Work, organisations: Sequence[Written]) -> set[str]:
    """The people whose Coverage names one of these Organizations, which may mean another payer now."""
    if not organisations:
        return set()
    ids = [one.stored.id for one in organisations]
    pks = sorted({row.pk for start in range(0, len(ids), _BATCH) for row in work.execute(_PAYORS, {"ids": ids[start : start + _BATCH]})})
    covered: Collection[Any] = [
        row for start in range(0, len(pks), _BATCH) for row in work.execute(select(*COLUMNS).where(_R.c.pk.in_(pks[start : start + _BATCH])))
    ]
    return {patient_of(stored_of(row).resource) for row in covered}


def _binaries(document: Json) -> list[tuple[str, str]]:
    """The Binaries held here whose bytes are a document's."""
    attachments = [*document.get("presentedForm", ()), *(one.get("attachment") for one in document.get("content", ()))]
    named = (local(str(one.get("url", ""))) for one in attachments if isinstance(one, dict))
    return [here for here in named if here and here[0] == "Binary"]
