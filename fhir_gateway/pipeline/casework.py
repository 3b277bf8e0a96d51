"""Cases: opened by referrals, judged whenever something they hang on was written, and whenever time alone would change the answer.

Everything here runs inside the transaction that wrote the resources, on the gateway's behalf: a referrer's message touches records the
referrer may not see.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from fhir_gateway import metrics
from fhir_gateway.cases import answer, machine
from fhir_gateway.cases.actions import request_status
from fhir_gateway.cases.choice import Choice
from fhir_gateway.cases.completeness import evaluate
from fhir_gateway.cases.evidence import walk
from fhir_gateway.cases.facts import diagnoses
from fhir_gateway.cases.model import CaseFile, Evaluation, Moment, Policy
from fhir_gateway.cases.referral import is_referral, moved, second_opinion, tagged, task_for
from fhir_gateway.cases.requirement import Checklist
from fhir_gateway.coverage.section import section
from fhir_gateway.errors import NotFoundError
from fhir_gateway.events import event
from fhir_gateway.pipeline import enquiry
from fhir_gateway.pipeline.adoptions import adopt
from fhir_gateway.pipeline.announcements import announce
from fhir_gateway.pipeline.casefile import CLOSED, Held, appointment_event, assemble, expiry, resubmission_event, withdrawal_event
from fhir_gateway.pipeline.chasing import by_policy, close_answered, queue_requests
from fhir_gateway.pipeline.checklists import Checklists, Lists
from fhir_gateway.pipeline.checks import ask, queue_checks
from fhir_gateway.pipeline.directory import Directories
from fhir_gateway.pipeline.merging import reciprocate
from fhir_gateway.pipeline.notices import notice
from fhir_gateway.pipeline.payers import Payers, payor_names
from fhir_gateway.pipeline.rereading import reread
from fhir_gateway.pipeline.restrictions import restricted
from fhir_gateway.pipeline.results import After, Judged
from fhir_gateway.pipeline.subscriptions import requested
from fhir_gateway.pipeline.wishes import wished
from fhir_gateway.security.principal import GATEWAY, Principal
from fhir_gateway.settings import Settings
from fhir_gateway.store import Stored, Transaction
from fhir_gateway.store.cases import Case
from fhir_gateway.store.search.references import local
from profiles import plandefinitions, valuesets
from profiles.valuesets import Code

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Casework:
    """checklists: what is required, as the clinic has it. referral_codes, opinion_codes: what says "referral" and "second opinion"."""

    checklists: Checklists
    referral_codes: frozenset[Code]
    opinion_codes: frozenset[Code]
    policy: Policy
    settings: Settings
    directories: Directories = field(default_factory=Directories)
    payers: Payers = field(default_factory=Payers)

    @classmethod
    def from_settings(cls, settings: Settings) -> Casework:
        """Shipped checklists compiled once. Raises ChecklistError, PayerError naming what is wrong with one."""
        sets = valuesets.load()
        policy = Policy(review_days=settings.review_days, clinic=frozenset({settings.clinic_name}))
        return cls(
            Checklists(plandefinitions.load()), sets["referral"], sets["second-opinion"], policy, settings, payers=Payers.from_folder(settings.payers)
        )

    # After a write

    def after(self, tx: Transaction, written: Sequence[Stored], at: datetime) -> After:
        """Open the cases that referrals among `written` call for, then judge every case the writes touch, once."""
        if not written:
            return After()
        staff = tx.on_behalf_of(GATEWAY)
        opened = list(self._referrals(staff, written))
        for referral in opened:
            self._open(tx.on_behalf_of(Principal("gateway", referral.owner)), referral, written, at)
        written = [*written, *reciprocate(staff, written)]
        if any(stored.type == "PlanDefinition" for stored in written):
            self.checklists.saved(tx, written, at)
        self.directories.saved(tx, written, self.checklists, at)
        if any(stored.type == enquiry.TYPE for stored in written):
            written = [*written, *enquiry.answer_all(tx, written, self.payers, self.moment(at))]
        touched = staff.cases.touched_by([stored.reference for stored in written])
        if adopted := adopt(staff, written, opened, touched, at):
            written = [*written, *adopted]
            touched = staff.cases.touched_by([stored.reference for stored in written])
        judged = [done for case in touched for done in self._chased(staff, case, at, "written")]
        hints = notice(staff, written, [referral.id for referral in opened], judged, at, self.settings.zone)
        reread(staff, judged, at)
        requested(staff, written)
        queue_requests(staff, at, self.settings)
        wished(staff, judged, at)
        queue_checks(staff, judged, self.payers, self.settings)
        announce(staff, judged)
        return After(tuple(case.service_request_id for case in touched), hints)

    def reevaluate(self, tx: Transaction, service_request_id: str, at: datetime) -> None:
        """Judge one case because time has passed."""
        case = tx.cases.get(f"ServiceRequest/{service_request_id}", lock=True)
        if case is not None:
            judged = list(self._chased(tx, case, at, "time"))
            queue_requests(tx, at, self.settings)
            queue_checks(tx, judged, self.payers, self.settings)
            announce(tx, judged)

    def check(self, tx: Transaction, name: str, at: datetime) -> Stored | None:
        """Ask the payer of a case now; the question, None when the case is over. Raises NotFoundError, ConflictError when no insurance is held."""
        case = tx.cases.get(name if "/" in name else f"ServiceRequest/{name}") or tx.cases.get(name)
        if case is None:
            raise NotFoundError("There is no such case")
        if case.closed:
            return None
        flat = self._answer(tx, case, None, at)[0]
        asked = ask(tx, case, flat, self.payers, self.moment(at), self.settings.clinic_name)
        self.after(tx, [asked], at)
        return asked

    def _chased(self, tx: Transaction, case: Case, at: datetime, why: str) -> Iterator[Judged]:
        """Judge a case; end the requests that are answered, and where policy asks for what it lacks, judge it again with that asked for."""
        judged = self.judge(tx, case, at, why)
        if judged is None:
            return
        yield judged
        close_answered(tx, judged, at)
        if by_policy(tx, judged, self.checklists.current(tx).checklist(judged.tumour_group), at, self.settings):
            again = tx.cases.get(f"ServiceRequest/{case.service_request_id}")
            if again is not None and (after := self.judge(tx, again, at, "asked")):
                yield after

    def judge(self, tx: Transaction, case: Case, at: datetime, why: str) -> Judged | None:
        """Evaluate a case, move it where its rules say, and keep the answer; None when its referral is gone."""
        held = assemble(tx, case)
        if held is None:
            return None
        held = self._followed(tx, case, held, at)
        held = replace(held, file=restricted(tx, held.file, self.payers, self.moment(at)))
        choice, checklist, evaluation = self._evaluated(held.file, self.checklists.current(tx), at)
        task = held.task
        if evaluation.event and task is not None:
            task = self._move(tx, task, machine.state_of(task.resource), evaluation.event, "rule", at)
        confirmed = second_opinion(held.file.referral, self.opinion_codes, held.file.task)
        if task is not None and (changed := tagged(task.resource, confirmed=confirmed, flagged=choice.flagged)):
            tx.on_behalf_of(Principal("gateway", task.owner)).resources.update(changed)
        flat = self._told(tx, evaluation, checklist, held.file, choice.name, at)
        closed = evaluation.state in CLOSED
        end = expiry(task, self.settings.expire_days) if task is not None else None
        if end is not None and end < (evaluation.next_change or end + timedelta(1)):
            flat["case"]["nextChange"] = end.isoformat()
        flat["case"]["nextChange"] = _clocked(flat, at)
        tx.cases.save(case.service_request_id, flat, closed=closed, confirmed=confirmed, tumour_group=choice.name, self_pay=evaluation.self_pay)
        if evaluation.self_pay is not case.self_pay:
            tx.shares.settle(case.patient_id)
        metrics.EVALUATIONS.labels(why).inc()
        event("case-evaluated", "debug", case=case.service_request_id, open_items=len(evaluation.open_items), why=why)
        return Judged(case, flat, held.file, task, choice.name)

    # Reading

    def flat(self, tx: Transaction, name: str, as_of: datetime | None, now: datetime) -> Json:
        """The flat answer of a case by ServiceRequest id, Task id or referral number. Raises NotFoundError."""
        case = tx.cases.get(name)
        if case is None:
            raise NotFoundError("There is no such case")
        return self._answer(tx, case, as_of, now)[0]

    def guidance(self, tx: Transaction, service_request_id: str, as_of: datetime | None, now: datetime) -> Json:
        """The GuidanceResponse of a case. Raises NotFoundError."""
        case = tx.cases.get(f"ServiceRequest/{service_request_id}")
        if case is None:
            raise NotFoundError(f"There is no case for ServiceRequest/{service_request_id[:64]}")
        flat, checklist = self._answer(tx, case, as_of, now)
        return answer.guidance_response(flat, checklist, f"Patient/{case.patient_id}" if case.patient_id else None)

    def addressed(self, tx: Transaction, name: str, now: datetime) -> tuple[Json, Json, Json]:
        """The flat answer of a case with its referral and patient, for what is written to people. Raises NotFoundError."""
        case = tx.cases.get(name)
        held = assemble(tx, case) if case else None
        if case is None or held is None:
            raise NotFoundError("There is no such case")
        return self._answer(tx, case, None, now)[0], held.file.referral, held.file.patient

    def listed(self, tx: Transaction, limit: int) -> list[Json]:
        """Open cases, most urgent first, as a worklist shows them."""
        cases = tx.cases.list(limit=limit)
        referrals = tx.resources.read_many([f"ServiceRequest/{case.service_request_id}" for case in cases])
        numbers = {reference: next(iter(walk(stored.resource, "identifier.value")), None) for reference, stored in referrals.items()}
        return [
            {
                "id": case.service_request_id,
                "task": case.task_id,
                "referral": numbers.get(f"ServiceRequest/{case.service_request_id}"),
                "state": case.state,
                "confirmed": case.confirmed,
                "tumourGroup": case.tumour_group,
                "checklist": case.checklist,
                "openItems": case.open_items,
                "due": case.due.isoformat() if case.due else None,
                "appointment": case.appointment.isoformat() if case.appointment else None,
                "decideBy": case.decide_by.isoformat() if case.decide_by else None,
                "gates": case.gates,
            }
            for case in cases
        ]

    def answer(self, tx: Transaction, case: Case, now: datetime) -> tuple[Json, Checklist]:
        """The flat answer of a case and the checklist it was judged by."""
        return self._answer(tx, case, None, now)

    def _answer(self, tx: Transaction, case: Case, as_of: datetime | None, now: datetime) -> tuple[Json, Checklist]:
        """The kept answer while it holds, with the list it was judged by; a fresh one for another moment or when its time is up. Nothing is stored."""
        fresh = as_of is not None or case.evaluation is None or (case.next_change is not None and case.next_change <= now)
        if not fresh and case.evaluation is not None and "money" in case.evaluation:
            checklist = self.checklists.version(tx, case.checklist, case.evaluation["case"]["base"])
            if checklist is not None:
                return case.evaluation, checklist
        held = assemble(tx.on_behalf_of(GATEWAY), case, as_of)
        if held is None:
            raise NotFoundError("There was no such case then")
        lists = self.checklists.current(tx) if as_of is None else self.checklists.at(tx, as_of)
        file = restricted(tx.on_behalf_of(GATEWAY), held.file, self.payers, self.moment(as_of or now))
        choice, checklist, evaluation = self._evaluated(file, lists, as_of or now)
        return self._told(tx, evaluation, checklist, file, choice.name, as_of or now), checklist

    def _told(self, tx: Transaction, evaluation: Evaluation, checklist: Checklist, file: CaseFile, group: str, at: datetime) -> Json:
        """The flat answer with the case's route and what a clerk reads of its money."""
        moment = self.moment(at)
        flat = self.directories.routed(tx, answer.flat(evaluation, checklist), file, group, moment)
        money = section(file, flat, moment, self.policy.clinic, payor_names(tx.on_behalf_of(GATEWAY), file))
        return flat | {"money": money, "items": [*flat["items"], *answer.wished(money["information"], flat["case"]["due"])]}

    def _evaluated(self, file: CaseFile, lists: Lists, at: datetime) -> tuple[Choice, Checklist, Evaluation]:
        choice = lists.chooser.choose(diagnoses(file))
        checklist = lists.checklist(choice.name)
        return choice, checklist, evaluate(file, checklist, self.moment(at), self.policy)

    def moment(self, at: datetime) -> Moment:
        """A time in the clinic's calendar."""
        holidays = frozenset(date.fromisoformat(day.strip()) for day in self.settings.holidays.split(",") if day.strip())
        return Moment(at, self.settings.zone, holidays)

    # Opening and moving

    def _referrals(self, tx: Transaction, written: Sequence[Stored]) -> Iterable[Stored]:
        """ServiceRequests among what was written, or focused on by it, that are referrals and have no case yet."""
        focused = {str(r) for s in written if s.type in ("Task", "MessageHeader") for r in _focus(s.resource)}
        based = {str(r) for s in written for r in walk(s.resource, "basedOn.reference")}
        mine = {s.reference: s for s in written if s.type == "ServiceRequest"}
        earlier = [reference for reference in focused if reference.startswith("ServiceRequest/") and reference not in mine]
        for reference, stored in {**mine, **tx.resources.read_many(earlier)}.items():
            called = not stored.deleted and is_referral(stored.resource, reference in focused, self.referral_codes, has_results=reference in based)
            if called and tx.cases.get(reference) is None:
                yield stored

    def _open(self, tx: Transaction, referral: Stored, written: Sequence[Stored], at: datetime) -> None:
        confirmed = second_opinion(referral.resource, self.opinion_codes)
        owner = {"display": self.settings.clinic_name}
        sent = next((s for s in written if s.type == "Task" and referral.reference in _focus(s.resource)), None)
        made = task_for(referral.resource, now=at, confirmed=confirmed, owner=owner)
        if sent is None:
            task = tx.resources.create(made, inbox_id=referral.inbox_id)
        else:  # the sender's own Task becomes the coordination Task: what it said stays, the state is ours from now on
            ours: Json = {key: made[key] for key in ("status", "businessStatus", "lastModified", "meta") if key in made}
            task = tx.resources.update({**made, **sent.resource, **ours}, inbox_id=referral.inbox_id)
        subject = local(str(next(iter(walk(referral.resource, "subject.reference")), "")))
        patient = subject[1] if subject and subject[0] == "Patient" else None
        tx.cases.open(referral.resource, task_id=task.id, patient_id=patient, state="received", confirmed=confirmed)
        event("case-opened", case=referral.id, confirmed=confirmed)

    def _followed(self, tx: Transaction, case: Case, held: Held, at: datetime) -> Held:
        """The case after what its referral and its appointment call for: a withdrawal by the placer, a booking, a move, a no-show."""
        before = case.evaluation["case"].get("appointment") if case.evaluation else None
        for actor in ("referrer", "clinic", "rule"):
            if held.task is None:
                return held
            state = machine.state_of(held.task.resource)
            if actor == "referrer":
                wanted = withdrawal_event(held.file.referral, state) or resubmission_event(held.referral, held.task, state)
            elif actor == "clinic":
                wanted = appointment_event(held.appointment, state, before)
            else:
                end = expiry(held.task, self.settings.expire_days)
                wanted = "expire" if end is not None and end <= at else None
            if wanted is not None and (state, wanted) in machine.TABLE:
                task = self._move(tx, held.task, state, wanted, actor, at)
                held = replace(held, file=replace(held.file, task=task.resource), task=task)
        return self._settled(tx, held)

    def _settled(self, tx: Transaction, held: Held) -> Held:
        """The referral with the status a closed case calls for: a change that was on its way does not reopen what the clinic has ended."""
        state = machine.state_of(held.file.task)
        wanted = request_status(state, str(held.file.referral.get("status")))
        if state not in CLOSED or held.file.referral.get("status") == wanted:
            return held
        settler = tx.on_behalf_of(Principal("gateway", held.referral.owner))
        referral = settler.resources.update({**held.referral.resource, "status": wanted}, clock=held.referral.clock, inbox_id=held.referral.inbox_id)
        return replace(held, file=replace(held.file, referral=referral.resource), referral=referral)

    def _move(self, tx: Transaction, task: Stored, state: str, name: str, actor: str, at: datetime) -> Stored:
        to = machine.move(state, name, actor).to
        if to == state:
            return task
        event("case-moved", case=task.id, from_state=state, to_state=to, cause=name)
        return tx.on_behalf_of(Principal("gateway", task.owner)).resources.update(moved(task.resource, to, at))


def _clocked(flat: Json, at: datetime) -> str | None:
    """When the answer next changes by time: also when the payer's time to decide on the authorisation is over."""
    before, due = flat["case"].get("nextChange"), flat["money"]["decisionDue"]
    late = datetime.fromisoformat(due) + timedelta(seconds=1) if due else None
    if late is None or late <= at or (before and datetime.fromisoformat(before) <= late):
        return str(before) if before else None
    return late.isoformat()


def _focus(resource: Json) -> list[str]:
    """References a Task or MessageHeader focuses on."""
    return [str(reference) for reference in walk(resource, "focus.reference")]
