"""An opinion: what a reviewer says of the diagnosis, the tissue, the stage and the treatment, read from what was given and checked as a whole.

The flat form (JSON) is one object; `opinionform` makes the same of FHIR Parameters. Nothing unknown is passed over: every fault is found, with its
place. Pure; how it is recorded is left to `outcome`, its wording to `pages`.

    {"diagnosis": {"verdict": "changed", "code": {"system": …, "code": …, "display": …}, "text": …}, "pathology": {"verdict": "concordant"},
     "stage": {"verdict": "confirmed"}, "options": [{"text": …, "preference": 1}], "trials": ["NCT01234567"], "mode": "records-only",
     "summary": …, "patientSummary": …, "author": {"display": …}, "signed": "2026-09-28T15:00:00-05:00"}
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from fhir_gateway.cases.days import instant
from fhir_gateway.cases.evidence import codings, walk
from fhir_gateway.cases.model import Json
from profiles.canonical import canonical

SYSTEM: Final = canonical("CodeSystem", "opinion")

# Element → what it may say. A changed one says what it is instead.
VERDICTS: Final[dict[str, tuple[str, ...]]] = {
    "diagnosis": ("confirmed", "changed", "undetermined"),
    "pathology": ("concordant", "minor-discordance", "major-discordance", "not-reviewed"),
    "stage": ("confirmed", "changed"),
}
MODES: Final = ("in-person", "records-only")
# What an opinion must have. An interim one says what can be said so far.
FINAL: Final = ("diagnosis", "pathology", "mode", "summary", "author", "signed")
INTERIM: Final = ("summary", "author", "signed")
ELEMENTS: Final = ("diagnosis", "pathology", "stage", "options", "trials", "mode", "summary", "patientSummary", "author", "signed")
AUTHORS: Final = ("Practitioner", "PractitionerRole", "Organization")
TRIAL: Final = re.compile(r"NCT\d{8}")  # ClinicalTrials.gov
_CONTROLS: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")
_CODE: Final = re.compile(r"\S+( \S+)*")
_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")


class Assessed(NamedTuple):
    """What is said of the diagnosis, the tissue or the stage. code, text: what it is instead, or a remark."""

    verdict: str
    code: Json | None = None
    text: str = ""


class Option(NamedTuple):
    """A treatment to consider. preference: 1 is the first choice; None where none is stated."""

    text: str
    code: Json | None = None
    preference: int | None = None


@dataclass(frozen=True, slots=True)
class Opinion:
    """One opinion. author: a Reference. signed: aware."""

    interim: bool
    summary: str
    author: Json
    signed: datetime
    diagnosis: Assessed | None = None
    pathology: Assessed | None = None
    stage: Assessed | None = None
    options: tuple[Option, ...] = ()
    trials: tuple[str, ...] = ()
    mode: str = ""
    patient_summary: str = ""


class Fault(NamedTuple):
    """One thing that is wrong. where: `diagnosis.verdict`, `options[1].text`. code: an OperationOutcome issue code. text never quotes free text."""

    where: str
    code: str
    text: str


class OpinionError(ValueError):
    """What was given is no opinion. Carries every fault."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{fault.where}: {fault.text}" for fault in self.faults))


def read(given: Any, *, interim: bool, now: datetime) -> Opinion:
    """The opinion in the flat form. now: nothing is signed later than that. Raises OpinionError with every fault."""
    form = _Form()
    body = form.object(given, "", ELEMENTS)
    for name in INTERIM if interim else FINAL:
        if name not in body:
            form.fault(name, "required", "is missing")
    opinion = Opinion(
        interim=interim,
        summary=form.text(body, "summary"),
        author=form.author(body.get("author")),
        signed=form.moment(body, "signed", now),
        diagnosis=form.assessed(body, "diagnosis", coded=True),
        pathology=form.assessed(body, "pathology", coded=False),
        stage=form.assessed(body, "stage", coded=True),
        options=tuple(form.each(body, "options", form.option)),
        trials=tuple(form.each(body, "trials", form.line)),
        mode=form.word(body, "mode", MODES),
        patient_summary=form.text(body, "patientSummary"),
    )
    if form.faults:
        raise OpinionError(form.faults)
    return opinion


def is_opinion(resource: Json) -> bool:
    """A document of an opinion of this clinic (note or patient summary): the answer, so no record of the case it answers."""
    said = (code for concept in walk(resource, "category") for code in codings(concept))
    return resource.get("resourceType") == "DocumentReference" and any(system == SYSTEM for system, _ in said)


class _Form:
    """Reads values and collects what is wrong with them."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def fault(self, where: str, code: str, text: str) -> None:
        self.faults.append(Fault(where, code, text))

    def object(self, value: Any, where: str, names: tuple[str, ...]) -> Json:
        if not isinstance(value, dict):
            self.fault(where, "structure", "must be an object")
            return {}
        for name in value:
            if name not in names:
                self.fault(_in(where, str(name)[:64]), "structure", f"is not known here; known are {', '.join(names)}")
        return {name: value[name] for name in names if name in value}

    def text(self, holder: Json, name: str, where: str = "") -> str:
        return self.line(holder[name], _in(where, name)) if name in holder else ""

    def line(self, value: Any, where: str) -> str:
        if not isinstance(value, str) or not value.strip():
            self.fault(where, "value", "must be a text that is not empty")
            return ""
        if _CONTROLS.search(value):
            self.fault(where, "value", "holds control characters")
        return value.strip()

    def word(self, holder: Json, name: str, words: tuple[str, ...], where: str = "") -> str:
        if name not in holder:
            return ""
        if holder[name] not in words:
            self.fault(_in(where, name), "code-invalid", f"must be one of {', '.join(words)}")
            return ""
        return str(holder[name])

    def assessed(self, body: Json, name: str, *, coded: bool) -> Assessed | None:
        if name not in body:
            return None
        given = self.object(body[name], name, ("verdict", "code", "text") if coded else ("verdict", "text"))
        if "verdict" not in given and isinstance(body[name], dict):
            self.fault(f"{name}.verdict", "required", "is missing")
        found = Assessed(
            self.word(given, "verdict", VERDICTS[name], name), self.coding(given.get("code"), f"{name}.code"), self.text(given, "text", name)
        )
        if found.verdict == "changed" and not (found.code or (name == "stage" and found.text)):
            self.fault(f"{name}.code", "required", "is missing: a change says to what")
        if found.verdict in ("confirmed", "undetermined") and found.code:
            self.fault(f"{name}.code", "business-rule", f"says what it changed to, which does not go with {found.verdict}")
        return found

    def option(self, value: Any, where: str) -> Option:
        given = self.object(value, where, ("text", "code", "preference"))
        code, words, preference = self.coding(given.get("code"), f"{where}.code"), self.text(given, "text", where), given.get("preference")
        if isinstance(value, dict) and "text" not in given and "code" not in given:
            self.fault(f"{where}.text", "required", "is missing: an option has a text or a code")
        if preference is not None and (not isinstance(preference, int) or isinstance(preference, bool) or preference < 1):
            self.fault(f"{where}.preference", "value", "must be a whole number from 1, the first choice")
            preference = None
        return Option(words, code, preference)

    def each(self, body: Json, name: str, one: Callable[[Any, str], Any]) -> list[Any]:
        given = body.get(name, [])
        if not isinstance(given, list):
            self.fault(name, "structure", "must be a list")
            return []
        return [one(value, f"{name}[{position}]") for position, value in enumerate(given)]

    def coding(self, value: Any, where: str) -> Json | None:
        if value is None:
            return None
        given = self.object(value, where, ("system", "version", "code", "display", "userSelected"))
        for name, shape in (("system", _URI), ("code", _CODE)):
            if isinstance(value, dict) and (not isinstance(given.get(name), str) or not shape.fullmatch(given[name])):
                self.fault(f"{where}.{name}", "required" if name not in given else "value", f"must be the {name} of a Coding")
        return given or None

    def author(self, value: Any) -> Json:
        """A Reference to who signs: held here, by number, or by name."""
        if value is None:
            return {}
        given = self.object(value, "author", ("reference", "type", "identifier", "display"))
        kind, _, identity = str(given.get("reference", "")).partition("/")
        if "reference" in given and (kind not in AUTHORS or not _ID.fullmatch(identity)):
            self.fault("author.reference", "value", f"must name a {', '.join(AUTHORS)} held here, as Type/id")
        if isinstance(value, dict) and not given.keys() & {"reference", "identifier", "display"}:
            self.fault("author", "required", "must say who: reference, identifier or display")
        self.text(given, "display", "author")
        return given

    def moment(self, body: Json, name: str, now: datetime) -> datetime:
        if name not in body:
            return now
        found = instant(body[name])
        if found is None:
            self.fault(name, "value", "must be a date and time with its offset, as 2026-09-28T15:00:00-05:00")
            return now
        if found > now:
            self.fault(name, "business-rule", "lies in the future")
        return found


def _in(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
