"""Docs that cannot rot: generated pages are up to date, links lead somewhere, commands named exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fhir_gateway.cli import COMMANDS
from fhir_gateway.coverage.authorisation import MOVES, WORDS
from profiles.payerview import VIEWS
from tests.docs import fhir_pages
from tests.docs.generate import DOCS, pages

ROOT = DOCS.parent


@pytest.mark.parametrize("name", pages())
def test_a_generated_page_is_what_the_code_says(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == pages()[name], "run: make docs"


@pytest.mark.parametrize("page", sorted(p.relative_to(ROOT).as_posix() for p in [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]))
def test_links_between_pages_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), f"{page} → {target}"


@pytest.mark.parametrize("page", ["README.md", "docs/clinic.md", "docs/engineer.md", "docs/referrer.md"])
def test_commands_named_in_docs_exist(page: str) -> None:
    text = Path(ROOT / page).read_text(encoding="utf-8")
    assert set(re.findall(r"fhir-gateway ([a-z]+)", text)) <= set(COMMANDS)


@pytest.mark.parametrize("page", fhir_pages.PAGES)
def test_the_requests_of_a_page_are_answered_as_it_says(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    assert fhir_pages.BLOCK.findall(text) == [fhir_pages.block(page)], "run: python -m tests.docs.fhir_pages"


def test_the_payers_page_names_what_a_payer_can_search_by() -> None:
    rows = re.findall(r"^\| ([\w, -]+) \| ((?:`|documents).+) \|$", (DOCS / "payer.md").read_text(encoding="utf-8"), re.MULTILINE)
    told = {type: set(re.findall(r"`([\w-]+)`", by)) for types, by in rows for type in re.split(r", ?", types)}
    said = {type: set(view.parameters) for type, view in VIEWS.items() if view.parameters}
    assert told.pop("DiagnosticReport") - {"type"} == said.pop("DiagnosticReport")
    assert {type: by for type, by in told.items() if by} == said


def test_the_page_about_authorisation_has_every_state_and_move() -> None:
    page = (DOCS / "authorisation.md").read_text(encoding="utf-8")
    assert all(f"| {state} | {words} |" in page for state, words in WORDS.items())
    assert all(f"| {move.act} | {move.after} | {', '.join(move.who)} |" in page for move in MOVES)
