"""What a document in an OBX costs by its size: read, map, validate and encode, with a megabyte as the measure. Linear is a ratio near 1."""

from __future__ import annotations

import base64
import random
import time
from collections.abc import Iterator
from typing import NamedTuple

from fhir_gateway.validation import encode, validate
from mappers import v2
from profiles import conceptmaps

SIZES = (1, 5, 20)
SEGMENTS = (
    "MSH|^~\\&|LIS|LAB|GATEWAY|CLINIC|20260901120000-0500||ORU^R01^ORU_R01|B1|P|2.5.1",
    "PID|1||M1^^^LAB^MR||Doe^Ann||19700101|F",
    "OBR|1||F1^LAB|11526-1^Pathology study^LN|||20260901|||||||||||||||20260901||SP|F",
)


class Size(NamedTuple):
    """seconds: the best of several rounds. ratio: what a megabyte costs here, divided by what the smallest document costs by the megabyte."""

    megabytes: int
    seconds: float
    ratio: float


def measure(rounds: int = 3) -> Iterator[Size]:
    """One row per size."""
    tables, unit = conceptmaps.load(), 0.0
    for megabytes in SIZES:
        raw = message(megabytes)
        seconds = min(_once(raw, tables) for _ in range(rounds))
        unit = unit or seconds / megabytes
        yield Size(megabytes, seconds, seconds / megabytes / unit)


def message(megabytes: int) -> bytes:
    """An ORU with a PDF of that size."""
    data = base64.b64encode(b"%PDF-1.4" + random.Random(4).randbytes(megabytes * 1_000_000)).decode()
    return "\r".join((*SEGMENTS, f"OBX|1|ED|11526-1^Report^LN||LIS^AP^PDF^Base64^{data}||||||F", "")).encode()


def _once(raw: bytes, tables: conceptmaps.Tables) -> float:
    began = time.perf_counter()
    mapped = v2.map_message(v2.read(raw), tables, v2.Site())
    for draft in mapped.drafts:
        validate(draft.resource)
    encode([draft.resource for draft in mapped.drafts])
    return time.perf_counter() - began
