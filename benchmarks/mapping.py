"""Parse, map and validate one message, beside hl7apy's `parse_message` of the same bytes in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from hl7apy.parser import parse_message

from fhir_gateway.validation import encode, validate
from mappers import v2
from profiles import conceptmaps


class Step(NamedTuple):
    """seconds: a message, the best of several rounds. ratio: hl7apy's parse time divided by it."""

    name: str
    seconds: float
    ratio: float


def measure(raw: bytes) -> Iterator[Step]:
    """The steps in the order a message takes them; each includes only itself unless its name says otherwise."""
    tables, site = conceptmaps.load(), v2.Site()
    text = raw.decode().replace("\r\n", "\r").replace("\n", "\r")
    message = v2.read(raw)
    mapped = v2.map_message(message, tables, site)
    floor = best(lambda: parse_message(text, find_groups=False), 5)
    yield Step("hl7apy parse_message (floor)", floor, 1.0)
    steps: tuple[tuple[str, Callable[[], object]], ...] = (
        ("parse with positional checks", lambda: v2.check(v2.read(raw))),
        ("map (parsed already)", lambda: v2.map_message(message, tables, site)),
        ("parse and map", lambda: v2.map_message(v2.read(raw), tables, site)),
        ("validate all resources", lambda: [validate(draft.resource) for draft in mapped.drafts]),
        ("parse, map, validate, encode", lambda: _whole(raw, tables, site)),
    )
    for name, work in steps:
        seconds = best(work, 40)
        yield Step(name, seconds, floor / seconds)


def _whole(raw: bytes, tables: conceptmaps.Tables, site: v2.Site) -> bytes:
    mapped = v2.map_message(v2.read(raw), tables, site)
    for draft in mapped.drafts:
        validate(draft.resource)
    return encode([draft.resource for draft in mapped.drafts])


def best(work: Callable[[], object], times: int, rounds: int = 5) -> float:
    """Seconds a call, the best round: the least disturbed by whatever else the machine does."""
    work()
    return min(_round(work, times) for _ in range(rounds))


def _round(work: Callable[[], object], times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times
