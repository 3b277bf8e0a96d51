"""The two documents of an opinion, as printable pages: the consultation note for the first physician, the summary in plain words for the patient.

Nothing of the note's own summary stands in the patient's: it holds the findings in plain words and what was written for the patient. Everything that
was given is escaped; nothing runs and nothing is loaded.
"""

from __future__ import annotations

from datetime import tzinfo
from html import escape
from typing import Any, Final

from fhir_gateway.cases.opinion import Assessed, Opinion, Option
from fhir_gateway.pages.letter import STYLE

Json = dict[str, Any]

NOTE: Final[dict[str, dict[str, str]]] = {
    "diagnosis": {
        "confirmed": "Diagnosis confirmed",
        "changed": "Diagnosis changed",
        "undetermined": "Diagnosis can not be determined from what is held",
    },
    "pathology": {
        "concordant": "Pathology re-read: concordant",
        "minor-discordance": "Pathology re-read: minor discordance",
        "major-discordance": "Pathology re-read: major discordance",
        "not-reviewed": "Pathology not re-read",
    },
    "stage": {"confirmed": "Stage confirmed", "changed": "Stage changed"},
}
PLAIN: Final[dict[str, dict[str, str]]] = {
    "diagnosis": {
        "confirmed": "We looked at your records again and agree with the diagnosis you were given.",
        "changed": "We looked at your records again and think that the diagnosis is a different one.",
        "undetermined": "With the records we have we can't say yet whether the diagnosis is right.",
    },
    "pathology": {
        "concordant": "Our pathologist looked at your tissue again and sees the same as the first one did.",
        "minor-discordance": "Our pathologist looked at your tissue again and sees small differences from the first report.",
        "major-discordance": "Our pathologist looked at your tissue again and sees important differences from the first report.",
        "not-reviewed": "Your tissue was not looked at again.",
    },
    "stage": {
        "confirmed": "We agree with what you were told about how far the cancer has spread (its stage).",
        "changed": "We think that the stage, which says how far the cancer has spread, is a different one.",
    },
}
MODE: Final = {"in-person": "The patient was seen.", "records-only": "Given from the records; the patient was not seen."}


def note_page(opinion: Opinion, *, clinic: str, patient: str, referral: str, zone: tzinfo) -> str:
    """HTML of the consultation note. patient: name as it is to stand there. zone: of the time of signature."""
    kind = "Interim consultation note" if opinion.interim else "Consultation note"
    findings = "".join(_finding(name, found) for name, found in _assessed(opinion))
    body = [f"<h2>{kind}: second opinion</h2>", _paragraphs(opinion.summary), f"<ul>{findings}</ul>" if findings else ""]
    body += [_listed("Treatment options", [_option(option) for option in ordered(opinion.options)]), _listed("Trials to consider", opinion.trials)]
    body += [f"<p>{MODE[opinion.mode]}</p>" if opinion.mode else "", _signature(opinion, zone)]
    return _page(kind, clinic, patient, referral, body)


def summary_page(opinion: Opinion, *, clinic: str, patient: str, referral: str, zone: tzinfo) -> str:
    """HTML of the patient summary."""
    said = "".join(f"<p>{PLAIN[name][found.verdict]}</p>" for name, found in _assessed(opinion))
    options = [text for option in ordered(opinion.options) if (text := option.text or _coded(option.code))]
    body = ["<h2>Your second opinion in plain words</h2>", "<p>This is not the last word yet; more follows.</p>" if opinion.interim else "", said]
    body += [_paragraphs(opinion.patient_summary), _listed("Treatments you can talk about with your doctor", options)]
    body += [_listed("Studies you could ask about", opinion.trials)]
    body.append("<p>Please talk with your doctor before you change anything. Your doctor can ask us questions about this opinion.</p>")
    return _page("Your second opinion", clinic, patient, referral, [*body, _signature(opinion, zone)])


def ordered(options: tuple[Option, ...]) -> list[Option]:
    """The options by preference; those without one behind, as given."""
    return sorted(options, key=lambda option: option.preference or len(options) + 10**6)


def _assessed(opinion: Opinion) -> list[tuple[str, Assessed]]:
    given = (("diagnosis", opinion.diagnosis), ("pathology", opinion.pathology), ("stage", opinion.stage))
    return [(name, found) for name, found in given if found is not None]


def _finding(name: str, found: Assessed) -> str:
    more = ": ".join(part for part in (_coded(found.code), found.text) if part)
    return f"<li><strong>{NOTE[name][found.verdict]}</strong>{': ' + escape(more) if more else ''}</li>"


def _option(option: Option) -> str:
    return ": ".join(part for part in (_coded(option.code), option.text) if part)


def _coded(code: Json | None) -> str:
    """`Display (code)` of a Coding."""
    if not code:
        return ""
    return f"{code['display']} ({code['code']})" if code.get("display") else str(code["code"])


def _listed(title: str, items: list[str] | tuple[str, ...]) -> str:
    return f"<h3>{title}</h3><ol>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ol>" if items else ""


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{escape(line)}</p>" for line in text.splitlines() if line.strip())


def _signature(opinion: Opinion, zone: tzinfo) -> str:
    who = opinion.author.get("display") or (opinion.author.get("identifier") or {}).get("value") or ""
    when = opinion.signed.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z")
    return f"<p>Signed {escape(str(who))} {escape(when)}</p>"


def _page(title: str, clinic: str, patient: str, referral: str, body: list[str]) -> str:
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title} – {escape(referral)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{escape(clinic)}</h1><p class='quiet'>Referral {escape(referral)} · Patient {escape(patient)}</p>{''.join(body)}</body></html>"
    )
