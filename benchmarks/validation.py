"""What it costs to validate a referral Bundle of 20 entries: every rule (structure, bindings, reference targets, invariants), beside fhir.resources alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from fhir.resources.R4B import get_fhir_model_class

from fhir_gateway.validation import decode, encode, validate
from mappers import v2
from profiles import conceptmaps

REFERRAL = Path(__file__).parents[1] / "fixtures/v2/ref_i12/breast-second-opinion/input.hl7"
ENTRIES = 20


class Cost(NamedTuple):
    """seconds: processor time of one Bundle, the median of many. wanted: what it may cost, None for what is only compared with."""

    name: str
    seconds: float
    wanted: float | None


def referral() -> bytes:
    """A transaction of 20 entries: what the shipped breast referral maps to, without what only says where it came from."""
    mapped = v2.map_message(v2.read(REFERRAL.read_bytes()), conceptmaps.load(), v2.Site())
    drafts = [draft for draft in mapped.drafts if draft.resource["resourceType"] not in ("MessageHeader", "Provenance")]
    drafts = [drafts[n % len(drafts)] for n in range(ENTRIES)]
    entries: list[dict[str, Any]] = [
        {"resource": draft.resource, "request": {"method": "POST", "url": draft.resource["resourceType"]}} for draft in drafts
    ]
    return encode({"resourceType": "Bundle", "type": "transaction", "entry": entries})


def measure(rounds: int = 300) -> Iterator[Cost]:
    """One row per step."""
    raw = referral()
    bundle = decode(raw)
    assert validate(bundle) == [], "the Bundle is legal: every rule is asked, none is broken"
    model = get_fhir_model_class("Bundle")
    yield Cost("bytes to JSON, duplicate keys looked for", _median(lambda: decode(raw), rounds), None)
    yield Cost("every rule", _median(lambda: validate(bundle), rounds), 0.006)
    yield Cost("fhir.resources alone, from the same bytes", _median(lambda: model.model_validate_json(raw), rounds), None)


def _median(work: Callable[[], Any], rounds: int) -> float:
    work()
    spent = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return sorted(spent)[rounds // 2]
