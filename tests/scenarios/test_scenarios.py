"""Every story of `fixtures/cases/` through real MLLP, HTTP and FHIR entrances, on both databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.databases import postgresql_url
from tests.scenarios.theatre import FIXTURES, theatre

STORIES = sorted(path.parent for path in (FIXTURES / "cases").glob("*/story.json"))


def test_every_hard_case_has_a_story_and_every_story_says_what_it_is_about() -> None:
    assert len(STORIES) >= 12
    assert all((folder / "README.md").is_file() for folder in STORIES)


@pytest.mark.parametrize("folder", STORIES, ids=lambda folder: folder.name)
def test_a_story_ends_as_it_should_on_the_embedded_database(folder: Path, tmp_path: Path) -> None:
    with theatre(f"sqlite:///{tmp_path}/story.db") as stage:
        stage.play(folder)


@pytest.mark.parametrize("folder", STORIES, ids=lambda folder: folder.name)
def test_a_story_ends_as_it_should_on_postgresql(folder: Path) -> None:
    with postgresql_url() as url, theatre(url) as stage:
        stage.play(folder)
