"""Cases that come on paper, by telephone or on a disc: staff open them and file what they were given, in one transaction each.

The resources are those a FHIR client would send, so the ordinary rules judge them. What staff enter is the clinic's own; a Provenance says who
entered it, and the audit trail what was done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from fhir_gateway.cases import paper
from fhir_gateway.cases.days import span
from fhir_gateway.cases.evidence import walk
from fhir_gateway.cases.matching import match
from fhir_gateway.cases.paper import Sheet, Told
from fhir_gateway.cases.questionnaire import answer_type, questions
from fhir_gateway.cases.requirement import Checklist, Requirement
from fhir_gateway.errors import ConflictError, InvalidError, NotFoundError, TooLargeError
from fhir_gateway.pipeline import writes
from fhir_gateway.pipeline.casework import Casework
from fhir_gateway.pipeline.preconditions import Expected
from fhir_gateway.pipeline.sniff import KINDS, is_program, media_type
from fhir_gateway.pipeline.translate import translated
from fhir_gateway.security.principal import GATEWAY, Principal
from fhir_gateway.settings import Settings
from fhir_gateway.store import Store, Stored, Transaction
from fhir_gateway.store.cases import Case
from fhir_gateway.store.ids import new_id
from fhir_gateway.store.search import parse_query
from mappers.result import IdentityKey
from profiles.codesystems import answer_types

Json = dict[str, Any]
GONE: Final = "entered-in-error"
ALIKE: Final = ("certain", "probable")
"""Grades at which what staff type in may be taken for a person held: they have her before them."""


@dataclass(frozen=True, slots=True)
class Paperwork:
    """Every method answers the case's flat answer afterwards, and raises InvalidError, located, for what would make no legal resource."""

    store: Store
    casework: Casework
    clock: Callable[[], datetime]
    settings: Settings

    def open(self, principal: Principal, told: Told, *, patient_id: str = "", new_patient: bool = False) -> Json:
        """Open a case for a referral told at the desk.

        The patient is the holder of a given identifier, else `patient_id`, else a new one. Raises ConflictError when the holder is by name or birth
        date somebody else, and when patients of the same name and birth date are held and nobody said whether it is one of them.
        """
        if told.by != "patient" and not told.requester.strip():
            raise InvalidError(f"A referral by a {told.by} needs the name of who refers", "ServiceRequest.requester")
        for value, at in ((told.family, "Patient.name.family"), (told.question, "ServiceRequest.note.text")):
            if not value.strip():
                raise InvalidError("May not be empty", at)
        self._not_ahead(told.born, "Patient.birthDate")

        def work(tx: Transaction) -> Json:
            own = tx.on_behalf_of(Principal("gateway", "", principal.name))
            subject, written = self._patient(own, told, patient_id, new_patient)
            requester, more = self._requester(own, told, subject)
            performer = {"display": self.settings.clinic_name}
            wanted = paper.referral(told, subject=_to(subject), requester=requester, performer=performer, now=self.clock(), who=principal.name)
            referral = self._create(own, wanted)
            written += [*more, referral]
            self._create(own, paper.entered([stored.reference for stored in written], now=self.clock(), who=principal.name))
            tx.audit.append("open-case", "ServiceRequest", referral.id)
            self.casework.after(tx, written, self.clock())
            return self.casework.flat(tx, referral.reference, None, self.clock())

        return self._run(principal, work)

    def file(self, principal: Principal, name: str, item: str, sheet: Sheet, code: str = "") -> Json:
        """File a scan, a print or the picture of a disc against an item. sheet.content_type is not read: the content says what it is.

        code: which of the codes the item goes by it is. Raises NotFoundError, ConflictError for a file that was filed already, TooLargeError.
        """
        sheet = self._sniffed(sheet)

        def work(tx: Transaction, case: Case) -> list[Stored]:
            try:
                way = paper.way(self._item(tx, case, item), code)
            except paper.WayError as fault:
                raise InvalidError(str(fault), "DataRequirement.codeFilter") from None
            subject, about = _subject(case), {"reference": f"ServiceRequest/{case.service_request_id}"}
            kept = new_id()
            attached = paper.attachment(sheet, kept)
            self._not_filed(tx, case, attached["hash"], way.type)
            self._create(tx, paper.binary(sheet, subject or about), kept)
            record = self._create(tx, paper.record(way, sheet, attached, subject=subject, case=about, now=self.clock()))
            written = [record]
            if way.type in paper.PICTURED:
                written.append(self._create(tx, paper.picture(sheet, attached, record.reference, subject=subject, case=about)))
            self._create(tx, paper.entered([one.reference for one in written], now=self.clock(), who=principal.name))
            tx.audit.append(f"file:{item}", record.type, record.id)
            return written

        return self._on_case(principal, name, work)

    def answer(self, principal: Principal, name: str, question: str, value: str) -> Json:
        """Answer a question of a case: yes or no, a date, or words, as the question wants. Raises NotFoundError naming the questions there are."""

        def work(tx: Transaction, case: Case) -> list[Stored]:
            checklist = self._judged(tx, case)
            wordings = questions(checklist)
            if question not in wordings:
                raise NotFoundError(f"'{question[:64]}' is no question of {checklist.title}; there are {', '.join(sorted(wordings))}")
            kind = answer_type(question, checklist, answer_types())
            given = paper.said(kind, value)
            if given is None or not value.strip() or (kind == "date" and span(value.strip(), self.settings.zone) is None):
                wanted = {"boolean": "yes or no", "date": "a date such as 2026-10-01"}.get(kind, "words")
                raise InvalidError(f"{question} is answered by {wanted}", "QuestionnaireResponse.item.answer")
            about = {"reference": f"ServiceRequest/{case.service_request_id}"}
            made = paper.response(
                checklist, question, wordings[question], given, subject=_subject(case), case=about, now=self.clock(), who=principal.name
            )
            stored = self._create(tx, made)
            tx.audit.append(f"answer:{question}", stored.type, stored.id)
            return [stored]

        return self._on_case(principal, name, work)

    # The patient and who refers

    def _patient(self, tx: Transaction, told: Told, patient_id: str, new_patient: bool) -> tuple[Stored, list[Stored]]:
        """The patient meant, and what was written of it."""
        given = paper.patient(told)
        keys = [IdentityKey("Patient", f"{system}|{value}") for system, value in told.identifiers]
        holders = {holder.id for holder in tx.keys.find(keys)}
        if len(holders | ({patient_id} if patient_id else set())) > 1:
            raise ConflictError(
                f"The identifiers are of different patients: {', '.join(sorted(holders | {patient_id} - {''}))}", "Patient.identifier"
            )
        chosen = next(iter(holders), patient_id)
        if chosen:
            held = writes.read(tx, "Patient", chosen)
            if match(given, held.resource).grade not in ALIKE:
                raise ConflictError(f"Patient/{chosen} has another family name or birth date; one of the two is wrong", "Patient.identifier")
            return self._named(tx, held, given)
        alike = [] if new_patient else self._alike(tx, given)
        if alike:
            raise ConflictError(f"Held under this name and birth date: {', '.join(alike)}; say which it is, or that it is a new patient", "Patient")
        made = self._create(tx, given)
        return made, [made]

    def _named(self, tx: Transaction, held: Stored, given: Json) -> tuple[Stored, list[Stored]]:
        """A patient held, with the identifiers given added to its own."""
        own = held.resource.get("identifier") or []
        new = [one for one in given.get("identifier", ()) if not any(_same_identifier(one, other) for other in own)]
        if not new:
            return held, []
        changed = writes.update(tx, {**held.resource, "identifier": [*own, *new]}, held.id, Expected.version(held.version), create_allowed=False)
        return changed.stored, [changed.stored]

    @staticmethod
    def _alike(tx: Transaction, given: Json) -> list[str]:
        """Patients held under the same family name and birth date."""
        family = str(given["name"][0]["family"]).replace("\\", "\\\\").replace(",", "\\,")
        query = parse_query("Patient", [("family", family), ("birthdate", given["birthDate"])])
        return [stored.reference for stored in tx.search("Patient", query).entries if match(given, stored.resource).grade in ALIKE]

    def _requester(self, tx: Transaction, told: Told, subject: Stored) -> tuple[Json, list[Stored]]:
        if told.by == "patient":
            return _to(subject), []
        if told.by == "practitioner":
            return {"display": told.requester}, []
        relative = self._create(tx, paper.related_person(told, _to(subject)))
        return _to(relative), [relative]

    # Files

    def _sniffed(self, sheet: Sheet) -> Sheet:
        """The file with its kind. Raises InvalidError for one that is not filed, TooLargeError."""
        limit = self.settings.message_bytes
        if len(sheet.content) > limit:
            raise TooLargeError(f"The file is over the limit of {limit} bytes", "Attachment.size")
        if not sheet.content:
            raise InvalidError("The file is empty", "Attachment.data")
        kind = media_type(sheet.content)
        if kind is None:
            what = "is a program and is not filed" if is_program(sheet.content) else "is of a kind that is not filed here"
            raise InvalidError(f"The file {what}; {KINDS} are", "Attachment.contentType")
        if sheet.made:
            self._not_ahead(sheet.made, "the day it was made")
        return Sheet(sheet.content, kind, sheet.made, sheet.title, sheet.author, sheet.language, sheet.signed)

    @staticmethod
    def _not_filed(tx: Transaction, case: Case, digest: str, type: str) -> None:
        """A file counts once for a case: filed again by mistake, it would look like a second record."""
        for row in tx.on_behalf_of(GATEWAY).cases.records_of(case):
            found = row.stored.resource
            held = {str(h) for path in ("content.attachment.hash", "presentedForm.hash", "content.hash") for h in walk(found, path)}
            filed_as = type if type not in paper.PICTURED else "Media"
            if digest in held and row.stored.type == filed_as and found.get("status") != GONE:
                raise ConflictError(f"This very file is filed already as {row.stored.reference}", "Attachment.hash")

    def _item(self, tx: Transaction, case: Case, item: str) -> Requirement:
        checklist = self._judged(tx, case)
        found = next((one for one in checklist.items if one.id == item), None)
        if found is None:
            raise NotFoundError(f"{item[:64]} is no item of {checklist.title}")
        return found

    # Both

    def _not_ahead(self, day: str, at: str) -> None:
        found = span(day, self.settings.zone)
        if found is None:
            raise InvalidError("Is no date; write it as 2026-10-01, or 2026-10 where the day is not known", at)
        if found.low > self.casework.moment(self.clock()).today:
            raise InvalidError("Lies ahead", at)

    def _judged(self, tx: Transaction, case: Case) -> Checklist:
        return self.casework.answer(tx.on_behalf_of(GATEWAY), case, self.clock())[1]

    @staticmethod
    def _create(tx: Transaction, resource: Json, id: str | None = None) -> Stored:
        checked = writes.checked(resource, str(resource["resourceType"]))
        return writes.create(tx, checked, id=id or new_id(), fresh=True).stored

    def _on_case(self, principal: Principal, name: str, work: Callable[[Transaction, Case], Sequence[Stored]]) -> Json:
        def whole(tx: Transaction) -> Json:
            case = tx.cases.get(name, lock=True)
            if case is None:
                raise NotFoundError("There is no such case")
            written = work(tx.on_behalf_of(Principal("gateway", "", principal.name)), case)
            self.casework.after(tx, written, self.clock())
            return self.casework.flat(tx, f"ServiceRequest/{case.service_request_id}", None, self.clock())

        return self._run(principal, whole)

    def _run(self, principal: Principal, work: Callable[[Transaction], Json]) -> Json:
        with translated():
            return self.store.run(principal, self.clock(), work)


def _to(stored: Stored) -> Json:
    return {"reference": stored.reference}


def _subject(case: Case) -> Json | None:
    return {"reference": f"Patient/{case.patient_id}"} if case.patient_id else None


def _same_identifier(one: Json, other: Json) -> bool:
    return (one.get("system"), one.get("value")) == (other.get("system"), other.get("value"))
