"""What may arrive for a breast case, drawn at random: records of every kind, decisions about them, an appointment or none."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from hypothesis import strategies as st

from fhir_gateway.cases import custody
from fhir_gateway.cases.custody import Details
from tests.cases.story import answers, appointment, consent, images, item_task, judgement_task, mammogram, note, pathology, report, result

Json = dict[str, Any]
DAYS = st.dates(date(2024, 1, 1), date(2026, 12, 31)).map(str)
PARTIAL = st.one_of(DAYS, DAYS.map(lambda day: day[:7]), DAYS.map(lambda day: day[:4]), st.just("2026-09-05T23:30:00-07:00"))
STATUSES = st.sampled_from(["final", "preliminary", "registered", "corrected", "entered-in-error", "cancelled", "unknown"])
NAMES = st.sampled_from("abcdefgh")


def one_record() -> st.SearchStrategy[Json]:
    """A record of the kinds a breast case is about."""
    return st.one_of(
        st.builds(pathology, STATUSES, NAMES, on=PARTIAL),
        st.builds(mammogram, PARTIAL, st.sampled_from(["A-1", "A-2"]), NAMES),
        st.builds(images, st.sampled_from(["MG", "US", "CT"]), PARTIAL, st.sampled_from(["A-1", "A-2", None]), NAMES),
        st.builds(result, st.sampled_from(["58410-2", "85337-4", "24323-8", "2160-0"]), STATUSES, st.one_of(st.none(), PARTIAL), NAMES),
        st.builds(note, st.sampled_from(["34805-2", "34117-2", "64292-6"]), st.sampled_from(["final", "preliminary", None]), DAYS, NAMES),
        st.builds(
            consent,
            st.sampled_from(["active", "inactive", "rejected"]),
            NAMES,
            DAYS,
            st.sampled_from([None, {"type": "deny"}, {"period": {"end": "2026-09-20"}}]),
        ),
        st.builds(answers, NAMES, DAYS, surgery_done=st.booleans(), metastatic=st.booleans()),
        st.builds(report, NAMES, st.sampled_from(["30795-9", "36813-4"]), STATUSES, PARTIAL),
    )


def custody_task(item: str, step: tuple[Any, str], reviewed: bool, expected: str | None) -> Json:
    """A consignment of slides, of a block or a disc."""
    said = Details(expected=date.fromisoformat(expected) if expected else None, condition=step[1])
    begun = custody.begun({"id": "case"}, item, NOW) | {"id": f"{item}-{step[0]}-{step[1]}-{reviewed}-{expected}"}
    return custody.moved(begun, step[0], said, now=NOW, who="desk", reviewed=reviewed, back=True)


CUSTODY = st.sampled_from(
    [("requested", ""), ("shipped", ""), ("received", "good"), ("received", "RB"), ("received", "unreadable"), ("returned", ""), ("lost", "")]
)
NOW = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
RECORDS = st.lists(one_record(), max_size=12, unique_by=lambda r: (r["resourceType"], r["id"]))
TASKS = st.lists(
    st.one_of(
        st.builds(
            lambda status: item_task("record-request", "consult-note", status), st.sampled_from(["requested", "on-hold", "failed", "cancelled"])
        ),
        st.builds(lambda end: item_task("item-waiver", "pathology-slides", "completed", restriction={"period": {"end": end}}), DAYS),
        st.builds(
            custody_task, st.sampled_from(["pathology-slides", "tissue-block", "mammography-images"]), CUSTODY, st.booleans(), st.none() | DAYS
        ),
        st.builds(lambda word: judgement_task("DiagnosticReport/a", word, "pathology-report"), st.sampled_from(["confirmed", "unreadable"])),
    ),
    max_size=3,
)
VISITS = st.sampled_from([None, appointment("2026-09-30T09:00:00-04:00"), appointment("2027-02-01T09:00:00-05:00")])
