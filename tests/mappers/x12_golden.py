"""The golden folders `fixtures/x12/<case>`: a 271, the CoverageEligibilityResponse it means (an array for several), what it shows.

`python -m tests.mappers.x12_golden --write` writes every expected.json anew; read the difference before you commit it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from mappers import x12

FOLDER = Path(__file__).parents[2] / "fixtures" / "x12"
_JSON = msgspec.json.Encoder(decimal_format="number")


def cases() -> Iterator[Path]:
    """The folders of all cases, in order."""
    return iter(sorted(path.parent for path in FOLDER.glob("*/input.edi")))


def found(case: Path) -> list[x12.Answer]:
    """Every answer in a case's file, from the file alone."""
    return [answer for one in x12.read((case / "input.edi").read_bytes()) for part in one.transactions for answer in x12.answers(part)]


def actual(case: Path) -> str:
    """What a case's file means, as indented JSON."""
    responses = [answer.response for answer in found(case)]
    return msgspec.json.format(_JSON.encode(responses[0] if len(responses) == 1 else responses), indent=1).decode() + "\n"


def write() -> None:
    """Write every expected.json anew."""
    for case in cases():
        (case / "expected.json").write_text(actual(case), encoding="utf-8")
        print(case.name)


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python -m tests.mappers.x12_golden --write")
    write()
