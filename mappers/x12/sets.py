"""Segments of an interchange → functional groups and transaction sets, their counts and control numbers compared.

A wrong count or number is a finding: the content can still be read. A trailer that is missing is an error: nobody knows what went with it.
Source: ASC X12.5, X12.6.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from mappers.x12.place import Finding, X12Error
from mappers.x12.segment import Segment

_ISA_WIDTHS: Final = (3, 2, 10, 2, 10, 2, 15, 2, 15, 6, 4, 1, 5, 9, 1, 1, 1)
_OUTSIDE_GROUPS: Final = frozenset({"TA1", "TA3", "ISB", "ISE"})


@dataclass(slots=True)
class Transaction:
    """One transaction set, ST to SE. kind: ST01 (`271`); control: ST02; version: ST03, else GS08 (`005010X279A1`).

    faults: a count or number of its trailer that is wrong, for which a 999 would refuse it (005010X231A1, IK502 3 and 4).
    """

    segments: list[Segment]
    kind: str
    control: str
    version: str
    group: Segment
    faults: list[Finding] = field(default_factory=list)


@dataclass(slots=True)
class Group:
    """One functional group, GS to GE."""

    header: Segment
    transactions: list[Transaction] = field(default_factory=list)


def sort(segments: list[Segment]) -> tuple[list[Group], list[Finding]]:
    """The groups of an interchange, ISA to IEA, and what is odd or wrong about its envelopes. Raises X12Error where a segment can't stand."""
    header, *rest = segments
    groups: list[Group] = []
    findings: list[Finding] = []
    _check_header(header, findings)
    group: Group | None = None
    transaction: Transaction | None = None
    closed = False
    for segment in rest:
        name = segment.id
        if closed:
            raise X12Error("it stands after the end of the interchange (IEA)", segment.where())
        if transaction is not None:
            if name in ("ST", "GS", "GE", "ISA", "IEA"):
                raise X12Error("the transaction set before it has no end (SE)", segment.where())
            transaction.segments.append(segment)
            if name == "SE":
                _compare(segment, len(transaction.segments), transaction.control, transaction.faults)
                findings += transaction.faults
                transaction = None
        elif name == "ST" and group:
            transaction = Transaction([segment], segment.value(1), segment.value(2), segment.value(3) or group.header.value(8), group.header)
            group.transactions.append(transaction)
        elif name == "GS" and not group:
            groups.append(group := Group(segment))
        elif name == "GE" and group:
            _compare(segment, len(group.transactions), group.header.value(6), findings)
            group = None
        elif name == "IEA" and not group:
            _compare(segment, len(groups), header.value(13), findings)
            closed = True
        elif group or name not in _OUTSIDE_GROUPS:
            raise X12Error("it can't stand here: expected is ISA, GS, ST … SE, GE, IEA", segment.where())
    if not closed:
        lacking = "SE" if transaction else "GE" if group else "IEA"
        raise X12Error(f"the file breaks off after this segment: {lacking} is missing", segments[-1].where())
    return groups, findings


_COUNTED: Final = {"SE": ("segments", "ST02"), "GE": ("transaction sets", "GS06"), "IEA": ("functional groups", "ISA13")}


def _compare(trailer: Segment, count: int, control: str, findings: list[Finding]) -> None:
    """A trailer's count and control number against what stands before it."""
    said, number = trailer.value(1), trailer.value(2)
    what, header = _COUNTED[trailer.id]
    if said != str(count) and said.lstrip("0") != str(count):
        findings.append(Finding("error", f"the count is wrong: there are {count} {what}; something may be lacking", trailer.where(1)))
    if number != control:
        findings.append(Finding("error", f"the control number is not that of {header}", trailer.where(2)))


def _check_header(header: Segment, findings: list[Finding]) -> None:
    for position, (width, text) in enumerate(zip(_ISA_WIDTHS, header.elements, strict=False)):
        if len(text) != width:
            findings.append(Finding("information", f"the element is not {width} characters wide", header.where(position)))
