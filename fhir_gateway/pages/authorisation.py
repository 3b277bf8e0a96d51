"""The proof of a prior authorisation: one printable page saying who was asked for what and when, and who answered what and when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, tzinfo
from html import escape
from typing import Any, Final

from fhir_gateway.cases.authorised import decided, number, periods
from fhir_gateway.cases.days import instant
from fhir_gateway.cases.evidence import walk
from fhir_gateway.coverage.asking import indicator
from fhir_gateway.coverage.authorisation import expedited
from fhir_gateway.pages.letter import STYLE

Json = dict[str, Any]
DECISIONS: Final = {
    "approved": "authorised",
    "partly-approved": "authorised in part",
    "denied": "refused",
    "pended": "not decided yet",
    "information-requested": "more information is wanted first",
    "not-needed": "authorisation is not required",
    "cancelled": "taken back",
    "failed": "the request could not be processed",
    "unknown": "neither yes nor no",
}


def proof_page(words: str, held: Sequence[Json], *, clinic: str, patient: str, referral: str, written: date, zone: tzinfo) -> str:
    """HTML of the page. words: where it stands, for a clerk. held: the Claim and the ClaimResponse that say so, those there are."""
    tables = "".join(_table(resource, zone) for resource in held)
    nothing = "<p>The payer has not been asked, and has said nothing.</p>"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Prior authorisation – {escape(referral)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{escape(clinic)}</h1><p class='quiet'>{escape(written.isoformat())} · Referral {escape(referral)} · Patient {escape(patient)}</p>"
        f"<h2>Prior authorisation of a second opinion</h2><p>{escape(words)}</p>{tables or nothing}</body></html>"
    )


def _table(resource: Json, zone: tzinfo) -> str:
    asked = resource.get("resourceType") == "Claim"
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in (_request if asked else _answer)(resource, zone) if value
    )
    return f"<h2>{'The request' if asked else 'The answer'}</h2><table><tbody>{rows}</tbody></table>"


def _request(claim: Json, zone: tzinfo) -> Iterator[tuple[str, str]]:
    yield "Asked", _when(claim.get("created"), zone)
    yield "Of", _name(claim.get("insurer"))
    yield "By", _name(claim.get("provider"))
    yield "Urgency", "expedited, 72 hours" if expedited(claim) else "standard, 7 days"
    yield "Second surgical opinion", "yes" if any(one.get("valueBoolean") for one in indicator(claim)) else ""
    yield "For", ", ".join(str(text) for text in walk(claim, "item.servicedDate"))
    yield "Kept as", f"Claim/{claim.get('id')}"


def _answer(response: Json, zone: tzinfo) -> Iterator[tuple[str, str]]:
    yield "Answered", _when(response.get("created"), zone)
    yield "By", _name(response.get("insurer"))
    yield "Decision", DECISIONS[decided(response)]
    yield "Number", number(response)
    for period in periods(response):
        yield "Good", " to ".join(str(period[end]) for end in ("start", "end") if period.get(end))
    yield "In the payer's words", str(response.get("disposition") or "")
    for text in walk(response, "processNote.text"):
        yield "Noted", str(text)
    yield "Kept as", f"ClaimResponse/{response.get('id')}"


def _name(reference: Any) -> str:
    if not isinstance(reference, dict):
        return ""
    return str(reference.get("display") or reference.get("reference") or next(iter(walk(reference, "identifier.value")), ""))


def _when(value: Any, zone: tzinfo) -> str:
    moment = instant(value)
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z") if moment else str(value or "")
