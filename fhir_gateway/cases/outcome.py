"""An opinion as it is recorded: elements as Task.output, the consultation note and the patient summary as DocumentReferences. Pure.

Codes of Task.output are ours (CodeSystem opinion); the documents are LOINC 11488-4 (consult note) and 69730-0 (instructions for the patient).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha1
from typing import Final

from fhir_gateway.cases.evidence import LOINC, codings, walk
from fhir_gateway.cases.model import Json
from fhir_gateway.cases.opinion import SYSTEM, TRIAL, Assessed, Opinion
from profiles.canonical import canonical

PREFERENCE: Final = canonical("StructureDefinition", "option-preference")
TRIALS: Final = "http://clinicaltrials.gov"
HTML: Final = "text/html; charset=utf-8"
# Which document → its LOINC type
DOCUMENTS: Final = {
    "note": {"system": LOINC, "code": "11488-4", "display": "Consult note"},
    "patient-summary": {"system": LOINC, "code": "69730-0", "display": "Instructions"},
}


def outputs(opinion: Opinion) -> list[Json]:
    """The elements of an opinion as Task.output, options by preference."""
    made = [
        *_assessed("diagnosis", opinion.diagnosis),
        *_assessed("pathology", opinion.pathology),
        *_assessed("stage", opinion.stage),
        *(_option(option.code, option.text, option.preference) for option in opinion.options),
        *(_trial(trial) for trial in opinion.trials),
    ]
    if opinion.mode:
        made.append(output("mode", valueCodeableConcept=_concept(opinion.mode)))
    made.append(output("summary", valueString=opinion.summary))
    made.append(output("author", valueReference=opinion.author))
    made.append(output("signed", valueDateTime=opinion.signed.isoformat()))
    return made


def output(name: str, **value: object) -> Json:
    """One Task.output, typed by our code."""
    return {"type": _concept(name), **value}


def of(task: Json, name: str) -> Json | None:
    """The output of that type of a Task, None when it has none."""
    found = (o for o in walk(task, "output") if isinstance(o, dict) and (SYSTEM, name) in codings(o.get("type")))
    return next(found, None)


def document_of(task: Json, name: str) -> str:
    """The id of the DocumentReference that is the `note` or `patient-summary` of a coordination Task, "" when it has none."""
    held = of(task, name) or {}
    return str((held.get("valueReference") or {}).get("reference", "")).removeprefix("DocumentReference/")


def may_return(task: Json) -> bool:
    """Whether the opinion a coordination Task holds may be returned to the referrer."""
    return bool((of(task, "return-to-referrer") or {}).get("valueBoolean"))


def held_apart(case_task: Json, made: list[Json], now: datetime) -> Json:
    """The Task that holds the elements of an opinion which may not be returned: part of the coordination Task, the clinic's alone."""
    stamp = now.isoformat(timespec="milliseconds")
    return {
        "resourceType": "Task",
        "partOf": [{"reference": f"Task/{case_task['id']}"}],
        "status": "completed",
        "intent": "order",
        "code": {"coding": [{"system": canonical("CodeSystem", "task-code"), "code": "opinion"}]},
        **{name: case_task[name] for name in ("focus", "for") if name in case_task},
        "authoredOn": stamp,
        "lastModified": stamp,
        "output": made,
    }


def document(name: str, opinion: Opinion, page: str, *, id: str, referral: Json, clinic: str, now: datetime, replaces: str = "") -> Json:
    """The DocumentReference `note` or `patient-summary`. page: its HTML. id: its own. replaces: id of the one it replaces, "" for none."""
    data = page.encode()
    kind = DOCUMENTS[name]
    stamp = now.isoformat(timespec="milliseconds")
    made: Json = {
        "resourceType": "DocumentReference",
        "id": id,
        "masterIdentifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{id}"},
        "status": "current",
        "docStatus": "preliminary" if opinion.interim else "final",
        "type": {"coding": [kind]},
        "category": [_concept(name)],
        "subject": referral.get("subject"),
        "date": stamp,
        "author": [opinion.author],
        "authenticator": None if opinion.interim else opinion.author,
        "custodian": {"display": clinic},
        "relatesTo": [{"code": "replaces", "target": {"reference": f"DocumentReference/{replaces}"}}] if replaces else None,
        "content": [{"attachment": _attachment(data, kind["display"], stamp)}],
        "context": {
            "period": {"start": opinion.signed.isoformat(), "end": opinion.signed.isoformat()},
            "related": [{"reference": f"ServiceRequest/{referral['id']}"}],
        },
    }
    return {element: value for element, value in made.items() if value is not None}


def superseded(document: Json) -> Json:
    """The document after another has replaced it."""
    return document | {"status": "superseded"}


def _attachment(data: bytes, title: str, created: str) -> Json:
    """Attachment.hash is defined as SHA-1."""
    digest = base64.b64encode(sha1(data, usedforsecurity=False).digest()).decode()
    encoded = base64.b64encode(data).decode()
    return {"contentType": HTML, "language": "en", "data": encoded, "size": len(data), "hash": digest, "title": title, "creation": created}


def _assessed(name: str, found: Assessed | None) -> Iterator[Json]:
    """The verdict, and what it is instead."""
    if found is None:
        return
    yield output(name, valueCodeableConcept=_concept(found.verdict) | ({"text": found.text} if found.text else {}))
    if found.verdict == "changed":
        instead = ({"coding": [found.code]} if found.code else {}) | ({"text": found.text} if found.text else {})
        yield output(f"new-{name}", valueCodeableConcept=instead)


def _option(code: Json | None, text: str, preference: int | None) -> Json:
    concept = ({"coding": [code]} if code else {}) | ({"text": text} if text else {})
    made = output("option", valueCodeableConcept=concept)
    return {"extension": [{"url": PREFERENCE, "valuePositiveInt": preference}], **made} if preference else made


def _trial(trial: str) -> Json:
    if TRIAL.fullmatch(trial):
        return output("trial", valueIdentifier={"system": TRIALS, "value": trial})
    return output("trial", valueString=trial)


def _concept(code: str) -> Json:
    return {"coding": [{"system": SYSTEM, "code": code}]}
