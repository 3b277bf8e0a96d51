"""Each state of an item in the words of DEQM."""

from __future__ import annotations

import pytest

from fhir_gateway.cases import answer
from tests.cases.story import Case, answers, checklist, consent, images, item_task, mammogram, pathology, result


def reason(case: Case, item: str, at: str = "2026-09-10") -> str | None:
    flat = answer.flat(case.evaluation(at), checklist(case.list_name))
    found: str | None = next(one["deqm"] for one in flat["items"] if one["id"] == item)
    return found


@pytest.mark.parametrize(
    ("case", "item", "word"),
    [
        (Case(), "pathology-report", "NotFound"),
        (Case().receives(pathology()), "pathology-report", "Present"),
        (Case().receives(pathology("preliminary")), "pathology-report", "InvalidAttribute"),
        (Case().receives(pathology("entered-in-error")), "pathology-report", "InvalidAttribute"),
        (Case().receives(mammogram()), "mammography-report", "DateInRange"),
        (Case().receives(mammogram(on="2025-01-05")), "mammography-report", "DateOutOfRange"),
        (Case().receives(mammogram(on="2026-04-01")).booked("2026-11-01T10:00:00-04:00"), "mammography-report", "DateOutOfRange"),
        (Case().receives(pathology("unknown")), "pathology-report", "NonComputableDocumentation"),
        (Case("prostate").receives(result("2857-1")), "psa", "CountOutOfRange"),
        (
            Case("prostate").receives(*(result("2857-1", on=f"2026-0{month}-05", name=f"psa-{month}") for month in (7, 8, 9))),
            "psa",
            "CountInRange",
        ),
        (Case().receives(images(on="2026-08-20")), "breast-priors", "DateOutOfRange"),
        (Case().receives(consent("inactive")), "release-consent", "InvalidAttribute"),
        (Case(tasks=[item_task("record-request", "pathology-report", "requested")]), "pathology-report", "Missing"),
        (Case(tasks=[item_task("record-request", "pathology-report", "in-progress")]), "pathology-report", "Missing"),
        (Case(tasks=[item_task("record-request", "pathology-report", "failed")]), "pathology-report", "NotFound"),
        (Case(tasks=[item_task("item-waiver", "pathology-slides", "completed")]), "pathology-slides", "NotFound"),
        (Case().receives(answers(added_studies_requested=False)), "tissue-block", None),
    ],
)
def test_an_item_gives_its_deqm_reason(case: Case, item: str, word: str | None) -> None:
    assert reason(case, item) == word
