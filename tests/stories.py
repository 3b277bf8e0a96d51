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


def numbered_referral(number: int) -> bytes:
    """The same referral of another person: own control id, medical record number, member number and referral number."""
    made = with_control_id(breast_referral(), f"RUN{number:06d}")
    return made.replace(b"MRN-554321", b"MRN-%06d" % number).replace(b"REF-2026-0417", b"REF-%06d" % number)
