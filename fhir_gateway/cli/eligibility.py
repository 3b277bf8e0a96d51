"""`fhir-gateway eligibility`: what a payer's answer says, an X12 271 or a CoverageEligibilityResponse; no database.

The answer goes to stdout, what could not be read of it to stderr with its place.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from fhir_gateway.cli.answersheet import sheet
from fhir_gateway.cli.terminal import err, out, stop, write
from fhir_gateway.settings import Settings
from fhir_gateway.validation import InvalidResourceError, Issue, decode_any, encode, validate
from mappers import x12
from profiles import x12codes

KIND: Final = "CoverageEligibilityResponse"
NO_ANSWER: Final = "the transaction set is no answer to an eligibility question (271)"


def eligibility(
    file: Annotated[str, typer.Argument(metavar="FILE", help="An X12 271, or a CoverageEligibilityResponse as JSON; - is stdin")],
    json: Annotated[bool, typer.Option("--json", help="The CoverageEligibilityResponse; a JSON array for several")] = False,
) -> None:
    """Say what a payer's eligibility answer means. Exit 0 all of it was read, 1 something in the file is wrong (said with its place), 2 usage."""
    raw = _bytes(file)
    faults: list[str] = []
    found = list(_of_json(raw, faults) if raw.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[") else _of_x12(raw, faults))
    if json and found:
        write(encode(found[0] if len(found) == 1 else found))
    elif not json:
        for response in found:
            out.print(sheet(response))
    for fault in faults:
        err.print(f"{file}: {fault}", style="red", markup=False, soft_wrap=True)
    if faults:
        raise typer.Exit(1)


def _bytes(name: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as fault:
        stop(f"{name}: {fault.strerror or fault}", 2)


def _of_x12(raw: bytes, faults: list[str]) -> Iterator[dict[str, Any]]:
    """Every answer of every transaction set; one that can't be read costs only itself."""
    codes = _codes()
    try:
        interchanges = x12.read(raw)
    except x12.X12Error as fault:
        faults.append(str(fault))
        return
    transactions = [transaction for interchange in interchanges for transaction in interchange.transactions]
    found = [finding for interchange in interchanges for finding in interchange.findings]
    notices = [notice for interchange in interchanges for notice in x12.acknowledgements(interchange)]
    faults += [f"{notice.where}: {NO_ANSWER}{', but' if notice.taken else ':'} {notice.text}" for notice in notices]
    if not transactions and not notices:
        faults.append(f"{interchanges[0].segments[0].where()}: the interchange holds no transaction set, so no answer")
    for transaction in transactions:
        if transaction.kind in x12.ACKNOWLEDGING:
            continue
        try:
            for answer in x12.answers(transaction, codes=codes):
                found += answer.findings
                yield answer.response
        except x12.X12Error as fault:
            faults.append(str(fault))
    faults += [str(finding) for finding in dict.fromkeys(found) if finding.severity == "error"]


def _codes() -> x12codes.Codes:
    path = Settings().x12_codes
    try:
        return x12codes.load(path.read_bytes() if path else b"")
    except OSError as fault:
        stop(f"GATEWAY_X12_CODES: {path}: {fault.strerror or fault}", 2)
    except ValueError as fault:
        stop(f"GATEWAY_X12_CODES: {fault}", 2)


def _of_json(raw: bytes, faults: list[str]) -> Iterator[dict[str, Any]]:
    """A CoverageEligibilityResponse, or an array of them as `--json` writes it; only legal ones are shown."""
    try:
        value = decode_any(raw)
    except InvalidResourceError as fault:
        faults += map(_said, fault.issues)
        return
    several = isinstance(value, list)
    if value == []:
        faults.append("the array is empty: no answer")
    for position, resource in enumerate(value if several else [value]):
        before = f"[{position}] " if several else ""
        if not isinstance(resource, dict) or resource.get("resourceType") != KIND:
            faults.append(f"{before}resourceType: expected is a {KIND}")
            continue
        issues = [issue for issue in validate(resource) if issue.severity in ("fatal", "error")]
        faults += [before + _said(issue) for issue in issues]
        if not issues:
            yield resource


def _said(issue: Issue) -> str:
    return f"{issue.expression}: {issue.text}" if issue.expression else issue.text
