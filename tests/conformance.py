"""`make conformance`: public messages and resources nobody here wrote, through the mapper and every validator. GATEWAY_CORPUS names the folder,
GATEWAY_MEDPLUM one with @medplum/core (see `tests.validators`).

Retention is strict here: a value counts only where it stands whole as an element of its own, or inside a decoded document; dates and numbers
are compared by their digits. The raw message and narratives do not count. The last two columns count a code also where its exact translation stands
(`PH` as `phone`; ConceptMap equivalence "equivalent").
"""

from __future__ import annotations

import base64
import os
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from fhir_gateway.pipeline.references import rewritten
from fhir_gateway.validation import InvalidResourceError, decode, validate
from mappers import v2
from mappers.result import Mapped, Refused
from mappers.v2.message import SUB, Message
from mappers.v2.write.fields import SCOPED, namespace
from profiles import conceptmaps
from tests.validators import Json, NotThereError, general, judges

STRUCTURAL = {("MSH", n) for n in (1, 2, 9, 12, 15, 16, 18)} | {("OBX", 2)}
EXACT = conceptmaps.exact()
TABLE_NAMES = re.compile(r"HL7\d+|Hl7\d+|LN|SCT|I10C?|I9C?|ISO\+?|UCUM", re.IGNORECASE)


def main() -> int:
    """Print the tables; 0 when nothing illegal came out and every segment is accounted for."""
    corpus = os.environ.get("GATEWAY_CORPUS", "")
    console = Console()
    if not corpus or not Path(corpus).is_dir():
        console.print("[bold yellow]SKIPPED[/]: GATEWAY_CORPUS does not name a folder of public messages, so nothing was tried.")
        return 0
    return _messages(console, Path(corpus)) + _resources(console, Path(corpus))


def _messages(console: Console, corpus: Path) -> int:
    tables, site = conceptmaps.load(), v2.Site()
    refusals: Counter[str] = Counter()
    said: Counter[str] = Counter()
    held: Counter[str] = Counter()
    meant: Counter[str] = Counter()
    made: list[Json] = []
    mapped_count = segments = accounted = 0
    raws = [raw for path in sorted(corpus.rglob("*.hl7")) for raw in v2.split(path.read_bytes())]
    for raw in track(raws, "HL7 v2 messages", console=console):
        try:
            message = v2.read(raw)
            mapped = v2.map_message(message, tables, site)
        except Refused as refused:
            finding = refused.findings[0]
            refusals[f"{refused.ack_code} {finding.code} at {finding.where}: {finding.text}"] += 1
            continue
        mapped_count += 1
        made += _as_stored(mapped)
        told = {(entry.where.segment, entry.where.sequence) for entry in mapped.ledger}
        valued = [s for s in message.segments if any(s.fields[1:])]
        segments += len(valued)
        accounted += sum((s.name, s.sequence) in told for s in valued)
        _retained(message, mapped, said, held, meant)
    _print_messages(console, len(raws), mapped_count, made, refusals, segments, accounted)
    _print_retention(console, said, held, meant)
    return int(_judged(console, made) > 0 or segments != accounted)


def _as_stored(mapped: Mapped) -> list[Json]:
    """The resources with references to each other as the store would write them, so that a validator can tell what they point at."""
    addresses = {draft.full_url: f"{draft.resource['resourceType']}/{draft.full_url.rpartition(':')[2]}" for draft in mapped.drafts}
    addresses[v2.RAW_MESSAGE] = f"Binary/{mapped.digest[:32]}"
    return [rewritten(draft.resource, addresses.get) for draft in mapped.drafts]


def _judged(console: Console, made: Sequence[Json]) -> int:
    """Every validator there is, each over every resource; how many resources any of them refuses."""
    table = Table(title="Resources refused, by validator", title_justify="left")
    table.add_column("validator")
    table.add_column("refused", justify="right")
    table.add_column("reasons", overflow="fold")
    refused: set[int] = set()
    for name, judge in judges():
        if isinstance(judge, NotThereError):
            table.add_row(name, "[bold yellow]SKIPPED[/]", f"not installed: {judge}")
            continue
        verdicts = judge(made)
        wrong = {n for n, faults in enumerate(verdicts) if faults}
        refused |= wrong
        reasons = Counter(general(fault) for faults in verdicts for fault in faults)
        listed = "\n".join(f"{count} {reason}" for reason, count in reasons.most_common(20))
        table.add_row(name, f"[{'red' if wrong else 'green'}]{len(wrong)}[/]", listed)
    console.print(table)
    return len(refused)


def _retained(message: Message, mapped: Mapped, said: Counter[str], held: Counter[str], meant: Counter[str]) -> None:
    values, digits, documents = _values(mapped)
    for name, leaf in {(s.name, leaf) for s in message.segments for leaf in _leaves(s)}:
        kind = f"in {mapped.header.message_type.partition('^')[0]}"
        said.update((name, kind))
        number = re.sub(r"\D", "", re.sub(r"[+-]\d{4}$", "", leaf))  # a time is written in its own zone; seconds may have been filled up
        dated = bool(re.fullmatch(r"[\d.+\-:]{4,}", leaf)) and number[:14] in digits
        translated = any(target in values for target in EXACT.get(leaf, ()))
        kept = leaf in values or dated or any(leaf in document for document in documents)
        for one in (name, kind):
            held[one] += kept
            meant[one] += kept or translated


def _leaves(segment: Any) -> list[str]:
    found: list[str] = []
    for number in range(1, len(segment.fields)):
        if (segment.name, number) in STRUCTURAL or (number == 1 and segment.raw(1).isdecimal()):
            continue
        for repetition in segment.repetitions(number):
            for component, text in enumerate(repetition, 1):
                for leaf in map(str.strip, text.split(SUB)):
                    if len(leaf) > 1 and leaf != '""' and not (component in (3, 6) and TABLE_NAMES.fullmatch(leaf)):
                        found.append(leaf)
    return found


def _values(mapped: Mapped) -> tuple[set[str], set[str], list[str]]:
    """Every whole string of every element (and what follows a URN or OID prefix), every run of digits of dates and numbers, every decoded document."""
    values: set[str] = set()
    documents: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key != "div":
                    walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)
        else:
            text = str(value)
            values.add(text)
            values.add(text.removeprefix("urn:oid:").removeprefix("urn:dicom:uid:"))
            values.update(line.strip() for line in text.splitlines())
            if text.startswith(SCOPED):
                values.add(namespace(text))  # the sender's own name of a code system or assigner

    for draft in mapped.drafts:
        if draft.resource["resourceType"] == "Binary":
            documents.append(base64.b64decode(draft.resource.get("data", "")).decode("utf-8", "replace"))
            values.add(str(draft.resource.get("data", "")))
        walk(draft.resource)
    digits = {re.sub(r"\D", "", text)[:14] for text in values if re.fullmatch(r"[\dTZ.+\-:]{4,}", text)}
    return values, digits | {d[:8] for d in digits} | {d[:12] for d in digits}, documents


def _print_messages(
    console: Console, messages: int, mapped: int, made: Sequence[Json], refusals: Counter[str], segments: int, accounted: int
) -> None:
    table = Table(title="HL7 v2", title_justify="left", show_header=False)
    table.add_row("messages", str(messages))
    table.add_row("mapped", str(mapped))
    table.add_row("refused", str(sum(refusals.values())))
    table.add_row("resources made", str(len(made)))
    table.add_row("valued segments accounted for", f"{accounted} of {segments}")
    console.print(table)
    if refusals:
        reasons = Table(title="Refusals", title_justify="left")
        reasons.add_column("messages", justify="right")
        reasons.add_column("reason", overflow="fold")
        for reason, count in refusals.most_common():
            reasons.add_row(str(count), reason)
        console.print(reasons)


def _print_retention(console: Console, said: Counter[str], held: Counter[str], meant: Counter[str]) -> None:
    for what, chosen in (("segment", [n for n in said if not n.startswith("in ")]), ("message type", [n for n in said if n.startswith("in ")])):
        table = Table(title=f"Retention by {what}: values that stand whole in an element or a document", title_justify="left")
        for column in (what, "values", "held", "%", "with exact translations", "%"):
            table.add_column(column, justify="left" if column == what else "right")
        for name in sorted(chosen, key=lambda name: -said[name]):
            table.add_row(name.removeprefix("in "), str(said[name]), *_share(held[name], said[name]), *_share(meant[name], said[name]))
        total = max(sum(said[name] for name in chosen), 1)
        table.add_section()
        table.add_row("all", str(total), *_share(sum(held[n] for n in chosen), total), *_share(sum(meant[n] for n in chosen), total))
        console.print(table)


def _share(part: int, whole: int) -> tuple[str, str]:
    return str(part), f"{100 * part / whole:.1f}"


def _resources(console: Console, corpus: Path) -> int:
    seen: Counter[str] = Counter()
    faults: dict[str, list[str]] = defaultdict(list)
    for path in track(sorted((corpus / "fhir").rglob("*.json")), "FHIR resources", console=console):
        folder = path.parent.name
        try:
            issues = validate(decode(path.read_bytes()))
        except InvalidResourceError as refused:
            issues = refused.issues
        seen[folder] += 1
        if issues:
            faults[folder].append(f"{path.name}: {issues[0].expression} {issues[0].text}")
    table = Table(title="Public FHIR R4 resources through the validator", title_justify="left")
    for column in ("folder", "files", "refused", "first fault of each refused one"):
        table.add_column(column, overflow="fold")
    for folder, count in seen.items():
        table.add_row(folder, str(count), str(len(faults[folder])), "\n".join(faults[folder]))
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
