"""What comes out of the golden pack is accepted by validators nobody here wrote (`make conformance` asks them about the public messages)."""

from __future__ import annotations

from pathlib import Path

import pytest

from mappers import v2
from mappers.result import Mapped
from tests.conformance import _as_stored
from tests.mappers.build import TABLES
from tests.mappers.golden import cases
from tests.validators import NotThereError, judges

JUDGES = dict(judges())


@pytest.mark.parametrize("name", JUDGES)
def test_every_resource_of_the_golden_pack_is_accepted(name: str) -> None:
    judge = JUDGES[name]
    if isinstance(judge, NotThereError):
        pytest.skip(f"{name} is not installed: {judge}")
    made = [(case, resource) for case in cases() for resource in _as_stored(_mapped(case))]
    found = judge([resource for _, resource in made])  # all at once: a validator that is a process of its own starts once
    assert len(found) == len(made)
    assert [(case.name, resource["resourceType"], faults) for (case, resource), faults in zip(made, found, strict=True) if faults] == []


def _mapped(case: Path) -> Mapped:
    return v2.map_message(v2.read((case / "input.hl7").read_bytes()), TABLES, v2.Site())


@pytest.mark.parametrize("name", JUDGES)
def test_a_validator_that_is_there_finds_a_fault(name: str) -> None:
    """A judge that accepts everything would be no judge."""
    judge = JUDGES[name]
    if isinstance(judge, NotThereError):
        pytest.skip(f"{name} is not installed: {judge}")
    (faults,) = judge([{"resourceType": "Patient", "birthDate": ["not", "one"]}])
    assert faults


def test_an_appointment_called_off_by_mistake_has_no_reason_for_cancelling() -> None:
    """Invariant app-4, which @medplum/core found: SIU^S17 deletes, so its SCH-6 is kept beside the appointment."""
    raw = b"\r".join(
        [
            b"MSH|^~\\&|A|NORTH|C|D|20260910080000-0500||SIU^S17^SIU_S12|1|P|2.5.1",
            b"SCH|A-1^N||||||SECOND||||^^30^20260928090000-0500^20260928093000-0500".replace(b"||||||SECOND", b"|||||DUP^Booked twice^L"),
            b"PID|1||1^^^N^MR||Ash^Ada",
        ]
    )
    mapped = v2.map_message(v2.read(raw), TABLES, v2.Site())
    (booked,) = [d.resource for d in mapped.drafts if d.resource["resourceType"] == "Appointment"]
    assert (booked["status"], "cancelationReason" in booked) == ("entered-in-error", False)
    assert any("SCH-6" in str(extension) for extension in booked["extension"])
