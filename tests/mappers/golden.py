"""The golden folders `fixtures/v2/<type>/<case>`: input, expected FHIR, what it shows.

`python -m tests.mappers.golden --write` writes every expected.json anew; read the difference before you commit it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from mappers import v2
from tests.mappers.build import TABLES

FOLDER = Path(__file__).parents[2] / "fixtures" / "v2"
_JSON = msgspec.json.Encoder(decimal_format="number")


def cases() -> Iterator[Path]:
    """The folders of all cases, in order."""
    return iter(sorted(path.parent for path in FOLDER.glob("*/*/input.hl7")))


def actual(case: Path) -> str:
    """The Bundle of a case's message as indented JSON, mapped without a site zone."""
    mapped = v2.map_message(v2.read((case / "input.hl7").read_bytes()), TABLES, v2.Site())
    return msgspec.json.format(_JSON.encode(v2.bundle(mapped)), indent=1).decode() + "\n"


def write() -> None:
    """Write every expected.json anew."""
    for case in cases():
        (case / "expected.json").write_text(actual(case), encoding="utf-8")
        print(case.relative_to(FOLDER))


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python -m tests.mappers.golden --write")
    write()
