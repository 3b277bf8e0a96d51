"""`fhir-gateway case open|file|answer`: cases that come on paper, by telephone or on a disc."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from fhir_gateway.cases.objections import CATEGORY
from fhir_gateway.cases.paper import BY, ICD10CM, Sheet, Told
from fhir_gateway.cli.cases import Named, app, print_case
from fhir_gateway.cli.connection import STAFF, gateway
from fhir_gateway.cli.terminal import stop, write
from fhir_gateway.settings import Settings
from fhir_gateway.validation import encode

AsJson = Annotated[bool, typer.Option("--json", help="As JSON")]
DATE: Final = "YYYY-MM-DD, or YYYY-MM or YYYY where no more is known"


@app.command("open")
def open_case(
    family: Annotated[str, typer.Option("--family", help="The patient's family name")],
    given: Annotated[list[str], typer.Option("--given", help="A given name; may be repeated")],
    birth_date: Annotated[str, typer.Option("--birth-date", metavar="DATE", help=DATE)],
    diagnosis: Annotated[str, typer.Option("--diagnosis", metavar="CODE", help="ICD-10-CM code (C50.411), or SYSTEM|CODE")],
    question: Annotated[str, typer.Option("--question", help="What the opinion must answer")],
    sex: Annotated[str, typer.Option("--sex", help="male, female, other or unknown")] = "",
    identifier: Annotated[list[str] | None, typer.Option("--identifier", metavar="SYSTEM|VALUE", help="Of the patient; may be repeated")] = None,
    by: Annotated[str, typer.Option("--by", help="Who refers: patient, relative or practitioner")] = "patient",
    requester: Annotated[str, typer.Option("--requester", help="Name of the relative or practitioner who refers")] = "",
    number: Annotated[str, typer.Option("--number", help="The referral's number, where the paper has one")] = "",
    second_opinion: Annotated[bool, typer.Option("--second-opinion/--no-second-opinion", help="Does it ask for a second opinion?")] = True,
    patient: Annotated[str, typer.Option("--patient", metavar="ID", help="A patient held already")] = "",
    new_patient: Annotated[bool, typer.Option("--new-patient", help="Not the one held under the same name and birth date")] = False,
    json: AsJson = False,
) -> None:
    """Open a case by hand. The patient is who holds the identifier; else say which of those alike it is, or that it is a new one."""
    if by not in BY:
        stop(f"--by is one of {', '.join(BY)}", 2)
    told = Told(
        family=family,
        given=tuple(given),
        born=birth_date,
        diagnosis=_coding(diagnosis),
        question=question,
        sex=sex,
        identifiers=tuple(_identifier(one) for one in identifier or ()),
        second_opinion=second_opinion,
        by=next(one for one in BY if one == by),
        requester=requester,
        number=number,
    )
    with gateway() as opened:
        _show(opened.paperwork.open(STAFF, told, patient_id=patient.removeprefix("Patient/"), new_patient=new_patient), json)


@app.command("file")
def file_paper(
    case: Named,
    item: Annotated[str, typer.Argument(help="The required record's id")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A scan, a print, or the picture of a disc's label")],
    date: Annotated[str, typer.Option("--date", metavar="DATE", help=f"When what it shows was made: {DATE}")] = "",
    title: Annotated[str, typer.Option("--title", help="What it is, in words")] = "",
    author: Annotated[str, typer.Option("--author", help="Who made it")] = "",
    language: Annotated[str, typer.Option("--language", metavar="BCP-47", help="The language it is in: en, es …")] = "",
    signed: Annotated[bool | None, typer.Option("--signed/--unsigned", help="Does it bear a signature? Left out: nobody looked")] = None,
    code: Annotated[str, typer.Option("--code", help="Which of the codes the item goes by this one is (LOINC, container)")] = "",
    modality: Annotated[str, typer.Option("--modality", help="Of images: MG, CT, MR, SM …")] = "",
    json: AsJson = False,
) -> None:
    """File a scan, a print or a disc against a required record. It is judged like any record, and may yet not do."""
    if code and modality:
        stop("Give --code or --modality, not both", 2)
    try:
        with file.open("rb") as opened_file:
            content = opened_file.read(Settings().message_bytes + 1)
    except OSError as fault:
        stop(f"{file}: {fault.strerror or fault}", 2)
    sheet = Sheet(content, "", date, title, author, language, signed)
    with gateway() as opened:
        _show(opened.paperwork.file(STAFF, case, item, sheet, code or modality), json)


@app.command("answer")
def answer(
    case: Named,
    question: Annotated[str, typer.Argument(help="The question's id, as `case show` names it")],
    value: Annotated[str, typer.Argument(metavar="ANSWER", help="yes, no, a date, or words, as the question wants")],
    json: AsJson = False,
) -> None:
    """Answer a question the case hangs on, as the referrer or the patient told it."""
    with gateway() as opened:
        _show(opened.paperwork.answer(STAFF, case, question, value), json)


def _show(flat: dict[str, Any], json: bool) -> None:
    if json:
        write(encode(flat))
    else:
        print_case(flat)


def _coding(text: str) -> dict[str, str]:
    system, bar, code = text.rpartition("|")
    if bar:
        if not system or not code:
            stop("--diagnosis is an ICD-10-CM code, or SYSTEM|CODE", 2)
        return {"system": system, "code": code}
    if not CATEGORY.fullmatch(code):
        stop(f"--diagnosis: {code[:20]!r} has not the form of an ICD-10-CM code such as C50.411", 2)
    return {"system": ICD10CM, "code": code.upper()}


def _identifier(text: str) -> tuple[str, str]:
    system, bar, value = text.rpartition("|")
    if not bar or not system or not value:
        stop("--identifier is SYSTEM|VALUE", 2)
    return system, value
