"""The gateway of the pipeline's stories, with its shipped lists in the store as after a start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import postgresql_url
from tests.pipeline.conftest import Told


@pytest.fixture(params=["sqlite", "postgresql"])
def told(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Told]:
    """A fresh gateway, started."""
    if request.param == "sqlite":
        yield from _started(f"sqlite:///{tmp_path}/told.db")
    else:
        with postgresql_url() as url:
            yield from _started(url)


def _started(url: str) -> Iterator[Told]:
    told = Told(url)
    told.gateway.casework.checklists.seed(told.gateway.store, told.now)
    yield told
    told.gateway.stop()
    told.executor.shutdown()
