"""The number by which a payer knows a question of ours, TRN02 of a 270 or an identifier over FHIR: the same however often it is asked."""

from __future__ import annotations

import re
import uuid
from typing import Final

from fhir_gateway.pipeline.enquiry import KIND

LONGEST: Final = 50
"""Characters of TRN02 (005010X279A1)."""
_TRACE: Final = re.compile(r"([A-Za-z0-9.-]+)-([0-9]+)")


def trace_of(key: str) -> str:
    """Of the outbox's name for a question (`eligibility/{id}/{version}`)."""
    _, id, version = key.split("/")
    trace = f"{id}-{version}"
    return trace if len(trace) <= LONGEST else str(uuid.uuid5(uuid.NAMESPACE_URL, key))


def same(one: str, other: str) -> bool:
    """Some payers give everything back in capitals."""
    return one.upper() == other.upper()


def keys_of(trace: str) -> list[str]:
    """What the outbox may call the question of this number: as it stands, or in small letters for a payer that writes capitals."""
    found = (_TRACE.fullmatch(text) for text in dict.fromkeys((trace, trace.lower())))
    return [f"{KIND}/{match[1]}/{match[2]}" for match in found if match]
