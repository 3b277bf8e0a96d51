"""What is a referral, does it ask for a second opinion, and the coordination Task that stands for its case.

PRODUCT, "What makes a case": every referral addressed to the clinic opens one; senders rarely fill the fields that would confirm
it as a second opinion, so without them the case is marked for the staff to settle.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final

from fhir_gateway.cases.evidence import codings, walk
from fhir_gateway.cases.machine import BY_NAME, CASE_STATE_SYSTEM
from fhir_gateway.cases.model import Code, Json
from profiles.canonical import canonical

CASE_TAGS: Final = canonical("CodeSystem", "case-tag")
UNCONFIRMED: Final = "unconfirmed"
NO_TUMOUR_GROUP: Final = "no-tumour-group"
FULFILL: Final = {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]}

# ServiceRequest elements that may say so, as PRODUCT lists them.
SAYS_REFERRAL: Final = ("category", "code")
SAYS_SECOND_OPINION: Final = ("category", "code", "reasonCode")


def is_referral(service_request: Json, focused: bool, codes: Collection[Code], *, has_results: bool = False) -> bool:
    """Whether a ServiceRequest is a referral rather than a record (PRODUCT, "What makes a case").

    focused: a Task or MessageHeader focuses on it. codes: ValueSet `referral`. has_results: in what arrived with it, something is
    `basedOn` it: an order that was carried out, unless it is called a referral *and* focused on as one.
    """
    said = _says(service_request, SAYS_REFERRAL, codes)
    return (focused and said) if has_results else (focused or said)


def second_opinion(service_request: Json, codes: Collection[Code], task: Json | None = None) -> bool:
    """Whether it confirms that a second opinion is asked for: the referral says so, or the clinic has settled it on the coordination Task.

    codes: ValueSet `second-opinion`.
    """
    return _says(service_request, SAYS_SECOND_OPINION, codes) or (task is not None and _says(task, ("reasonCode",), codes))


def task_for(referral: Json, *, now: datetime, confirmed: bool, flagged: bool = False, owner: Json | None = None) -> Json:
    """The coordination Task of a new case, in state `received`, without id.

    referral: the stored ServiceRequest (its id is the focus). now: aware. flagged: the base checklist stands in for a tumour group.
    owner: Reference to the clinic; absent, the referral's first performer. Valid FHIR R4.
    """
    state = BY_NAME["received"]
    tags = [tag for tag, wanted in ((UNCONFIRMED, not confirmed), (NO_TUMOUR_GROUP, flagged)) if wanted]
    stamp = now.isoformat(timespec="milliseconds")
    owner = owner or next(iter(walk(referral, "performer")), None)
    parts = {
        "resourceType": "Task",
        "meta": {"tag": [{"system": CASE_TAGS, "code": tag} for tag in tags]} if tags else None,
        "groupIdentifier": next(iter(walk(referral, "identifier")), None),
        "status": state.task,
        "businessStatus": {"coding": [{"system": CASE_STATE_SYSTEM, "code": state.business}]},
        "intent": "order",
        "priority": referral.get("priority"),
        "code": FULFILL,
        "focus": {"reference": f"ServiceRequest/{referral['id']}"},
        "for": referral.get("subject"),
        "authoredOn": stamp,
        "lastModified": stamp,
        "requester": referral.get("requester"),
        "owner": owner,
    }
    return {name: value for name, value in parts.items() if value is not None}


def tagged(task: Json, *, confirmed: bool, flagged: bool) -> Json | None:
    """The Task with the case tags that hold now (unconfirmed, no tumour group), None when it has them already. Other tags stay."""
    meta = task.get("meta") or {}
    others = [tag for tag in meta.get("tag") or () if tag.get("system") != CASE_TAGS]
    wanted = [code for code, holds in ((UNCONFIRMED, not confirmed), (NO_TUMOUR_GROUP, flagged)) if holds]
    if [tag.get("code") for tag in meta.get("tag") or () if tag.get("system") == CASE_TAGS] == wanted:
        return None
    tags = others + [{"system": CASE_TAGS, "code": code} for code in wanted]
    kept = {key: value for key, value in meta.items() if key != "tag"}
    return {**task, "meta": {**kept, "tag": tags} if tags else kept}


def moved(task: Json, state: str, now: datetime) -> Json:
    """The Task in another case state; the caller has asked `machine.move` for leave."""
    to = BY_NAME[state]
    return task | {
        "status": to.task,
        "businessStatus": {"coding": [{"system": CASE_STATE_SYSTEM, "code": to.business}]},
        "lastModified": now.isoformat(timespec="milliseconds"),
    }


def _says(service_request: Json, elements: tuple[str, ...], codes: Collection[Code]) -> bool:
    return any(code in codes for element in elements for concept in walk(service_request, element) for code in codings(concept))
