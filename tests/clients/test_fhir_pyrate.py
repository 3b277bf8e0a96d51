"""fhir-pyrate: searches into tables (pandas). It reads only."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import httpx
import pandas as pd
import pytest
from fhir_pyrate import Pirate

from tests.clients.conftest import SYSTEM, patient


@pytest.fixture(scope="module")
def pirate(base: str) -> Iterator[Pirate]:
    for number in range(7):
        assert httpx.post(f"{base}/Patient", json=patient(f"PY-{number}", gender="female")).status_code == 201
    with Pirate(base_url=base, auth=None, num_processes=1) as made:
        yield made


def test_every_page_of_a_search_becomes_rows(pirate: Pirate) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it adds _sort=_id itself
        rows = pirate.steal_bundles_to_dataframe(
            "Patient", {"gender": "female", "_count": 3, "_total": "accurate"}, fhir_paths=["id", ("number", "identifier.value")]
        )
    assert sorted(rows["number"]) == [f"PY-{number}" for number in range(7)]
    assert rows["id"].is_unique


def test_totals_reads_and_histories(pirate: Pirate) -> None:
    assert pirate.get_bundle_total("Patient", {"_summary": "count", "gender": "female"}) == 7
    found = list(pirate.steal_bundles("Patient", {"identifier": f"{SYSTEM}|PY-3"}))
    id = found[0].entry[0].resource.id
    read = list(pirate.steal_bundles("Patient", {"_id": id}))
    assert read[0].entry[0].resource.identifier[0].value == "PY-3"
    versions = list(pirate.steal_bundles("Patient", {"history": id}))
    assert [entry.resource.meta.versionId for entry in versions[0].entry] == ["1"]


def test_one_search_a_row(pirate: Pirate) -> None:
    asked = pd.DataFrame({"number": [f"{SYSTEM}|PY-1", f"{SYSTEM}|PY-5"]})
    rows = pirate.trade_rows_for_dataframe(asked, "Patient", df_constraints={"identifier": "number"}, fhir_paths=[("found", "identifier.value")])
    assert sorted(rows["found"]) == ["PY-1", "PY-5"]
