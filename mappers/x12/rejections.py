"""AAA → CoverageEligibilityResponse.error: what the payer refused, who must put it right, and when asking again makes sense."""

from __future__ import annotations

from typing import Final

from mappers.result import Json
from mappers.x12.loops import Loop
from mappers.x12.segment import Segment
from mappers.x12.values import coding, extension
from profiles.eligibility import ERROR_AT, FOLLOW_UP, FOLLOW_UPS, REJECTIONS, RETRY_AFTER, WHO_FIXES
from profiles.x12codes import Codes, Rejection

_WAITS: Final = {"W": (30, "d"), "X": (10, "d")}
"""AAA04 that names days."""
_NEVER: Final = frozenset("NSY")
"""AAA04 after which the same question is not asked again."""


def errors(loop: Loop, codes: Codes) -> list[Json]:
    """One error for each AAA of this loop itself."""
    return [_error(aaa, loop.name, codes) for aaa in loop.named("AAA")]


def _error(aaa: Segment, where: str, codes: Codes) -> Json:
    made = explained(aaa.value(3), aaa.value(4), codes)
    return {**made, "extension": [extension(ERROR_AT, "String", f"{where} AAA"), *made["extension"]]}


def explained(code: str, follow_up: str, codes: Codes) -> Json:
    """An error by its reason (AAA03) and follow-up (AAA04, "" for none): what it means, who must put it right, when to ask again."""
    known = codes.rejections.get(code) or Rejection(code, "", "payer", "Call the payer: the reason it gave is not one we know.", None)
    told: list[Json] = [extension(WHO_FIXES, "Code", known.who)]
    if follow_up:
        told.append(extension(FOLLOW_UP, "Coding", coding(FOLLOW_UPS, follow_up, codes.display("889", follow_up))))
    if wait := _wait(follow_up, known):
        told.append(extension(RETRY_AFTER, "Duration", wait))
    text = ". ".join(filter(None, (known.means, known.do)))
    concept: Json = (
        {"coding": [coding(REJECTIONS, code, known.means)], "text": text} if code else {"text": "The payer gave no reason. Call the payer."}
    )
    return {"extension": told, "code": concept}


def _wait(follow_up: str, known: Rejection) -> Json | None:
    """When the same question may be asked again; None when not by itself. The payer's own word (AAA04) goes before the table's."""
    amount, unit = _WAITS.get(follow_up, (known.retry, "min"))
    if amount is None or follow_up in _NEVER:
        return None
    return {"value": amount, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}
