"""The example in docs/coverage.md is a payer that is read, and answers what the page says of it."""

from __future__ import annotations

import re
from pathlib import Path

from fhir_gateway.coverage import document, payer
from tests.coverage.questions import ask, said

PAGE = Path(__file__).parents[2] / "docs/coverage.md"


def test_the_example_is_read_and_answers() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    one = said(ask(payer.read(example)))
    assert (one.excluded, one.authorisation, one.mandated, one.network) == (False, None, False, "out")


def test_every_member_a_payer_may_have_is_told() -> None:
    members = document.Members({"name": "a", "title": "A"}, "", [])
    payer._payer(members)
    told = set(re.findall(r"`(\w+)`", PAGE.read_text(encoding="utf-8")))
    assert members.known <= told
