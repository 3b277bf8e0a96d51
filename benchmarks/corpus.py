"""Rates over public messages, beside hl7apy and hl7v2-fhir-bridge in the same run, and what a message costs as it grows.

Processor time, not the clock on the wall: other work on the machine does not count. Each figure is the best of several rounds. A bar is messages a second
on the machine where hl7apy parsed 46 of such messages a second, so on any machine it is that many times hl7apy's rate in the same run.
"""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from hl7apy.parser import parse_message

from fhir_gateway.pipeline.gateway import settle_collector
from fhir_gateway.validation import validate
from mappers import v2
from mappers.result import Refused
from profiles import conceptmaps

FIXTURES = Path(__file__).parents[1] / "fixtures/v2"
ROUNDS = 5
REFERENCE = 46.0
"""Messages a second hl7apy parsed where the bars were set."""


class Rate(NamedTuple):
    """seconds: a message. messages: how many were taken. bar: messages a second wanted, 0 for none. note: why there is no figure."""

    name: str
    messages: int
    seconds: float
    bar: int = 0
    note: str = ""


class Growth(NamedTuple):
    """What one message of this size costs, and how that compares with the size before: 1.0 is linear."""

    what: str
    size: str
    seconds: float
    factor: float


def messages() -> tuple[str, list[bytes]]:
    """The public messages GATEWAY_CORPUS names, or the golden pack."""
    folder = Path(os.environ.get("GATEWAY_CORPUS", "")) if os.environ.get("GATEWAY_CORPUS") else FIXTURES
    return str(folder), [raw for path in sorted(folder.rglob("*.hl7")) for raw in v2.split(path.read_bytes())]


def measure(raws: Sequence[bytes]) -> Iterator[Rate]:
    """Ours, then the others'."""
    tables, site = conceptmaps.load(), v2.Site()
    settle_collector()  # as the service does when it starts
    good = [raw for raw in raws if _taken(lambda raw: v2.map_message(v2.read(raw), tables, site), raw)]
    yield _rate("parse with positional checks", lambda raw: v2.check(v2.read(raw)), raws, 20_000)
    yield _rate("parse and map", lambda raw: v2.map_message(v2.read(raw), tables, site), good, 2_500)
    yield _rate("parse, map and validate every resource", lambda raw: _validated(raw, tables, site), good, 800)
    yield from _bridge(good)
    texts = [raw.decode("utf-8", "replace").replace("\r\n", "\r").replace("\n", "\r") for raw in good[:40]]
    few = [text for text in texts if _taken(_hl7apy, text)]
    yield _rate("hl7apy parse_message, what it takes of the first 40", _hl7apy, few, rounds=1)


def _mapped(raw: bytes, tables: conceptmaps.Tables, site: v2.Site) -> object:
    return v2.map_message(v2.read(raw), tables, site)


def growth() -> Iterator[Growth]:
    """OBX count and document size, each ten or four times the one before."""
    tables, site = conceptmaps.load(), v2.Site()
    settle_collector()  # as the service does when it starts
    for what, sizes, make in (("OBX", (100, 1_000, 10_000), _results), ("MB of document", (1, 4, 16), _document)):
        before = 0.0
        for position, size in enumerate(sizes):
            raw = make(size)
            seconds = min(_timed(partial(_mapped, raw, tables, site)) for _ in range(3))
            factor = seconds / before / (size / sizes[position - 1]) if position else 1.0
            yield Growth(what, f"{size:,}", seconds, factor)
            before = seconds


def _validated(raw: bytes, tables: conceptmaps.Tables, site: v2.Site) -> None:
    for draft in v2.map_message(v2.read(raw), tables, site).drafts:
        validate(draft.resource)


def _bridge(raws: Sequence[bytes]) -> Iterator[Rate]:
    try:
        convert: Any = import_module("v2fhir.convert").convert
        parse: Any = import_module("v2fhir.hl7.parser").parse_bytes
        config = import_module("v2fhir.config").Config()
    except ImportError:
        yield Rate("hl7v2-fhir-bridge", 0, 0.0, note="SKIPPED: pip install hl7v2-fhir-bridge")
        return

    def work(raw: bytes) -> object:
        return convert(parse(raw, config.default_charset, config.fallback_charsets), config)

    taken = [raw for raw in raws if _taken(work, raw)]
    tables, site = conceptmaps.load(), v2.Site()
    yield _rate("hl7v2-fhir-bridge, what it takes of them", work, taken)
    yield _rate("parse and map, the same messages", lambda raw: v2.map_message(v2.read(raw), tables, site), taken)


def _hl7apy(text: str) -> object:
    return parse_message(text, find_groups=False)


def _taken(work: Callable[[Any], object], raw: Any) -> bool:
    try:
        work(raw)
    except Exception:  # noqa: BLE001 - another program's refusals are of any kind
        return False
    return True


def _rate(name: str, work: Callable[[Any], object], given: Sequence[Any], bar: int = 0, rounds: int = ROUNDS) -> Rate:
    def once() -> None:
        for one in given:
            try:
                work(one)
            except Refused:
                continue

    if not given:
        return Rate(name, 0, 0.0, bar, "takes none of these messages")
    if rounds > 1:
        once()
    return Rate(name, len(given), min(_timed(once) for _ in range(rounds)) / len(given), bar)


def _timed(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


_HEAD = b"MSH|^~\\&|LAB|NORTH|GW|CLINIC|20260910080000-0500||ORU^R01^ORU_R01|1|P|2.5.1\rPID|1||1^^^NORTH^MR||Ash^Ada||19700101|F\r"
_ORDER = b"OBR|1||77^LAB|58410-2^CBC panel^LN|||20260909|||||||||||||||20260910080000-0500||HM|F\r"


def _results(count: int) -> bytes:
    return _HEAD + _ORDER + b"\r".join(b"OBX|%d|NM|718-7^Hemoglobin^LN|%d|%d.4|g/dL^^UCUM|12-16|N|||F" % (n, n, n) for n in range(1, count + 1))


def _document(megabytes: int) -> bytes:
    data = base64.b64encode(b"%PDF-1.7\n" + bytes(megabytes * 1_000_000))
    return _HEAD + _ORDER + b"OBX|1|ED|11526-1^Pathology report^LN||LAB^Application^PDF^Base64^" + data + b"||||||F"
