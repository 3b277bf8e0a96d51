"""The letter that asks for what is missing: one printable page, in plain words, for the patient and the first physician.

For referrers that neither poll nor take messages. It names records, dates and who is asked; no result and no diagnosis stands in it.
"""

from __future__ import annotations

from datetime import date
from html import escape
from typing import Any, Final

from fhir_gateway.cases.chase import ours

Json = dict[str, Any]

# Item state and reason → what to do, in words a patient understands. A reason not listed falls back to its state.
IN_WORDS: Final = {
    "missing": "Please send it.",
    "requested": "We have asked for it and are waiting.",
    "expected": "It is on its way.",
    "overdue": "It has not come by its date; please send it, or tell us what stands in the way.",
    "received": "We have something that may be it and are checking.",
    "expiring": "The one we have will be too old on the day of the appointment; please send a newer one.",
    "not-acceptable": "What we have can't be used; please send it again.",
    "declined": "We were told it can't be supplied; please let us know if that changes.",
    "applicability-unknown": "Please tell us whether this applies; if it does, send it.",
    "preliminary": "We have a preliminary version; please send the final one.",
    "unsigned": "What we have is not signed; please send the signed one.",
    "stale": "The one we have is too old; please send a newer one, or tell us that none was made.",
    "wrong-patient": "What we were sent seems to be about somebody else; please send the right one.",
    "unreadable": "We can't open or read what we were sent; please send it again.",
    "incomplete": "A part of it is missing; please send all of it.",
    "language": "Please send it with a translation.",
    "cancelled": "The one we had was withdrawn by the sender; please send a new one.",
    "retracted": "The one we had was withdrawn by the sender; please send a new one.",
}

STYLE: Final = """
body { font: 12pt/1.45 Georgia, serif; color: #111; max-width: 42em; margin: 2.5em auto; padding: 0 1em }
h1 { font-size: 1.35em; margin-bottom: 0 } table { border-collapse: collapse; width: 100%; margin: 1.2em 0 }
th, td { text-align: left; vertical-align: top; padding: .45em .6em; border-bottom: 1px solid #bbb } th { border-bottom: 2px solid #111 }
td:last-child { white-space: nowrap }
.box { width: 1.1em; height: 1.1em; border: 1.5px solid #111; display: inline-block } .quiet { color: #444; font-size: .92em }
@media print { body { margin: 0; max-width: none } tr { break-inside: avoid } }
"""


def asked_for(flat: Json) -> list[Json]:
    """The items a letter asks for: lacking, and not for the clinic or the payer alone to supply."""
    return [item for item in flat["items"] if item["gapStatus"] in ("open-gap", "prospective-gap") and not ours(item)]


def full_name(patient: Json) -> str:
    """The patient's name as it stands on a letter: the official one, else the first; "the patient" when there is none."""
    names = [name for name in patient.get("name") or () if isinstance(name, dict)]
    chosen = next((name for name in names if name.get("use") in ("official", "usual")), names[0] if names else {})
    parts = [*(str(given) for given in chosen.get("given") or ()), str(chosen.get("family") or "")]
    return str(chosen.get("text") or " ".join(part for part in parts if part) or "the patient")


def letter(flat: Json, *, clinic: str, patient: str, referral: str, written: date) -> str:
    """HTML of the letter. patient: name as it is to stand there. referral: the referral's number."""
    items = asked_for(flat)
    due = flat["case"].get("due")
    until = f"by <strong>{escape(str(due))}</strong>" if due else "as soon as you can"
    rows = "".join(_row(item) for item in items)
    table = f"<table><thead><tr><th></th><th>Record</th><th>What we need</th><th>By</th></tr></thead><tbody>{rows}</tbody></table>"
    lead = f"<p>To prepare the appointment we still need the records below. Please send them {until}, so that there is time to read them.</p>"
    done = "<p>We have everything we need for the review. There is nothing to send.</p>"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Records for a second opinion – {escape(referral)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{escape(clinic)}</h1><p class='quiet'>{escape(written.isoformat())} · Referral {escape(referral)} · Patient {escape(patient)}</p>"
        f"<h2>Records for your second opinion</h2>{lead + table if items else done}"
        "<p class='quiet'>A test that was not done need not be done for us: tell us, and we will say whether we can do without it. "
        "Please write the referral number on everything you send.</p></body></html>"
    )


def _row(item: Json) -> str:
    words = IN_WORDS.get(item.get("reason") or "") or IN_WORDS.get(item["state"], "Please send it.")
    cells = (escape(item["title"]), escape(words), escape(str(item.get("due") or "")))
    return "<tr><td><span class='box'></span></td>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
