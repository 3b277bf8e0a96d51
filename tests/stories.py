"""Synthetic messages for stories: the shipped fixtures, and variations of them under other numbers."""

from __future__ import annotations

from functools import cache
from pathlib import Path

FIXTURES = Path(__file__).parents[1] / "fixtures"


@cache
def fixture(name: str) -> bytes:
    """The bytes of one shipped message, with carriage returns as HL7 wants them."""
    raw = (FIXTURES / name).read_bytes()
    return raw.replace(b"\r\n", b"\r").replace(b"\n", b"\r") if name.endswith(".hl7") else raw


def breast_referral() -> bytes:
    """REF^I12: Ines Marlowe, referred for a second opinion about breast cancer."""
    return fixture("v2/ref_i12/breast-second-opinion/input.hl7")


def with_control_id(message: bytes, control_id: str) -> bytes:
    """The same message under another MSH-10."""
    fields = message.split(b"\r")[0].split(b"|")
    return message.replace(b"|".join(fields), b"|".join([*fields[:9], control_id.encode(), *fields[10:]]), 1)


OWN_NUMBERS = (
    b"REF-2026-0417",
    b"554321",
    b"RBH-778812",
    b"AUTH-2026-0088",
    b"CONS-90017",
    b"ROI-2026-1",
    b"CERT-7781",
    b"CM-33",
    b"PROC-8831",
    b"POL-RB-90017",
)


def numbered_referral(number: int) -> bytes:
    """The same referral of another person: every number that is hers alone is another one, and so are her name and birth date."""
    made = with_control_id(breast_referral(), f"RUN{number:06d}")
    made = made.replace(b"REF-2026-0417", b"REF-%06d" % number)
    for own in OWN_NUMBERS[1:]:
        made = made.replace(own, b"%s%06d" % (own[:4], number))
    # of another name and another day: hundreds of one name and birth date are no hospital's patients, and each is compared with all before
    family = bytes(ord("a") + int(digit) for digit in f"{number:06d}")
    return made.replace(b"Marlowe", b"Marlowe" + family).replace(b"19710314", b"%d%02d%02d" % (1940 + number % 60, 1 + number % 12, 1 + number % 28))
