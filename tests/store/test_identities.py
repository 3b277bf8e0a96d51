"""Who is who: links between Patients over time, the cases and records that follow them, and records that wait."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from fhir_gateway.security.principal import GATEWAY
from fhir_gateway.store import Store, Transaction, tables
from tests.store.people import CLINIC, NORTHSIDE, NOW, later, named, patient, report
from tests.store.plans import is_indexed, plan, sent, walks
from tests.store.test_cases import opened, records
from tests.store.test_keys import in_threads


def link(*others: str, type: str = "seealso") -> dict[str, Any]:
    """Patient.link to these."""
    return {"link": [{"other": {"reference": f"Patient/{other}"}, "type": type} for other in others]}


def people(tx: Transaction, *ids: str, **links: dict[str, Any]) -> None:
    """Patients under these ids."""
    for id in ids:
        tx.resources.create(patient(**links.get(id, {})), id=id)


def test_links_hold_in_both_directions_and_through_each_other(tx: Transaction) -> None:
    people(tx, "a", "b", "c", "d", "alone", b=link("a", type="replaced-by"), c=link("b", "Patient/odd", "c"), d=link("c", type="refer"))
    whole = frozenset({"a", "b", "c", "d"})
    assert {tx.identities.person(id) for id in "abcd"} == {whole}
    assert tx.identities.person("alone") == {"alone"}


def test_a_link_holds_from_its_first_version_to_its_last(store: Store) -> None:
    with store.transaction(GATEWAY, NOW) as tx:
        people(tx, "a", "b")
    with store.transaction(GATEWAY, later(days=1)) as tx:
        tx.resources.update({**patient(**link("b")), "id": "a"})
    with store.transaction(GATEWAY, later(days=2)) as tx:
        tx.resources.update({**patient(family="Other", **link("b")), "id": "a"})
        assert not tx.identities.parted("a", "b")
    with store.transaction(GATEWAY, later(days=3)) as tx:
        tx.resources.delete("Patient", "a")
        assert tx.identities.parted("b", "a")
    with store.snapshot(GATEWAY) as tx:
        found = [tx.identities.person("b", later(days=day, hours=1)) for day in range(4)]
        assert found == [{"b"}, {"a", "b"}, {"a", "b"}, {"b"}]
        assert tx.identities.person("b") == {"b"}


def test_a_case_takes_in_the_records_of_every_linked_patient_and_lets_them_go(store: Store) -> None:
    with store.transaction(GATEWAY, NOW) as tx:
        people(tx, "a", "b")
        opened(tx, "a")
        tx.resources.create(report("b"), id="early")
        assert [stored.id for _, stored in tx.cases.orphans()] == ["early"]
    with store.transaction(GATEWAY, later(days=1)) as tx:
        tx.resources.update({**patient(**link("a")), "id": "b"})
        assert [case.service_request_id for case in tx.cases.touched_by(["Patient/b"])] == ["sr-1"]
        tx.resources.create(report("b"), id="late")
        assert records(tx) == {"early": "patient", "late": "patient"}
        assert tx.cases.orphans() == []
    with store.transaction(GATEWAY, later(days=2)) as tx:
        tx.resources.update({**patient(), "id": "b"})
        assert [case.service_request_id for case in tx.cases.touched_by(["Patient/b"])] == ["sr-1"], "the case that lost them is judged again"
        assert records(tx) == {}
        assert [stored.id for _, stored in tx.cases.orphans()] == ["early", "late"]
    with store.snapshot(GATEWAY) as tx:
        assert records(tx, "sr-1", later(days=1, hours=1)) == {"early": "patient", "late": "patient"}
        assert records(tx, "sr-1", later(hours=1)) == {}


def test_a_bare_number_of_somebody_with_a_case_under_another_number_is_theirs(tx: Transaction) -> None:
    """As for one Patient (see test_cases), so for one person: q2 is q, who has a case of that number."""
    people(tx, "p", "q", "q2", q2=link("q"))
    opened(tx, "p", number="12345")
    opened(tx, "q", id="sr-2", number="12345")
    tx.resources.create(report("q2", basedOn=named("12345", None)), id="of-q")
    assert records(tx, "sr-1") == {}
    assert records(tx, "sr-2") == {"of-q": "referral"}


def test_a_record_that_names_another_case_of_the_same_person_is_that_cases(tx: Transaction) -> None:
    people(tx, "p", "p2", p2=link("p"))
    opened(tx, "p", number="REF-1")
    opened(tx, "p2", id="sr-2", number="REF-2")
    tx.resources.create(report("p", basedOn=named("REF-2", None)), id="second")
    assert (records(tx, "sr-1"), records(tx, "sr-2")) == ({}, {"second": "referral"})


def test_a_link_a_record_and_a_referral_that_arrive_at_once_see_each_other(store: Store) -> None:
    def arrive(kind: int, n: int) -> set[str]:
        def work(tx: Transaction) -> set[str]:
            if kind == 0:
                touched: Any = [opened(tx, f"a{n}", id=f"sr-{n}", number=f"REF-{n}")]
            elif kind == 1:
                touched = tx.cases.touched_by([tx.resources.create(report(f"b{n}")).reference])
            else:
                touched = tx.cases.touched_by([tx.resources.update({**patient(**link(f"b{n}")), "id": f"a{n}"}).reference])
            return {record.stored.id for case in touched for record in tx.cases.records_of(case)}

        return store.run(GATEWAY, NOW, work)

    with store.transaction(GATEWAY, NOW) as tx:
        people(tx, *(f"{side}{n}" for side in "ab" for n in range(6)))
    for n in range(6):
        judged = in_threads(3, lambda kind, n=n: arrive(kind, n))
        with store.snapshot(GATEWAY) as tx:
            assert len(records(tx, f"sr-{n}")) == 1
            assert set(records(tx, f"sr-{n}")) == max(judged, key=len)
            assert tx.cases.orphans() == []


def test_people_alike_are_found_by_name_and_birth_date_or_by_number(tx: Transaction) -> None:
    people(tx, "a", "twin")
    tx.resources.create(patient(family="MARLÖWE", value="9"), id="accent")
    tx.resources.create(patient(family="Marlöwe", value="MRN-9", birthDate="1971-03-15"), id="day-after")
    tx.resources.create(patient(family="Reyes", value="MRN-7"), id="married")
    tx.resources.create(patient(), id="gone")
    tx.resources.delete("Patient", "gone")
    found = [stored.id for stored in tx.identities.alike({**patient(), "id": "a"}, ["MRN-7", "x"])]
    assert found == ["twin", "accent", "married"]
    assert [stored.id for stored in tx.identities.alike(patient(family="marlowe"))] == ["a", "twin", "accent"]
    assert tx.on_behalf_of(NORTHSIDE).identities.alike(patient()) == []
    assert tx.identities.alike({"resourceType": "Patient"}) == []


def test_what_nobody_takes_in_is_given_up_once_and_waits_again_when_it_changes(store: Store) -> None:
    with store.transaction(GATEWAY, NOW) as tx:
        people(tx, "a", "b")
        opened(tx, "a")
        tx.resources.create(report("a"), id="held")
        tx.resources.create(report("b"), id="waits")
        tx.resources.create(report("b"), id="changed")
        assert tx.identities.waiting(["a", "b"]) == ["b"]
    with store.transaction(GATEWAY, later(days=5)) as tx:
        tx.resources.update({**report("b", title="y"), "id": "changed"})
    with store.transaction(GATEWAY, later(days=9)) as tx:
        assert tx.cases.expire_orphans(later(days=-1)) == []
        assert tx.cases.expire_orphans(later(days=1)) == [("DiagnosticReport", "waits")]
        assert tx.cases.expire_orphans(later(days=1)) == []
        assert [stored.id for _, stored in tx.cases.orphans()] == ["changed"]
        assert [stored.id for _, stored in tx.cases.orphans(expired=True)] == ["waits"]
        assert tx.cases.expire_orphans(later(days=6)) == [("DiagnosticReport", "changed")]
        assert tx.identities.waiting(["b"]) == []
    with store.transaction(GATEWAY, later(days=10)) as tx:
        tx.resources.update({**report("b", title="z"), "id": "waits"})
    with store.transaction(GATEWAY, later(days=11)) as tx:
        assert [stored.id for _, stored in tx.cases.orphans()] == ["waits"]
        opened(tx, "b", id="sr-2", number="REF-2")
        assert set(records(tx, "sr-2")) == {"waits", "changed"}, "a referral of that very patient takes in what was given up, too"


def test_reindex_rebuilds_links_and_keeps_what_was_given_up(store: Store) -> None:
    with store.transaction(GATEWAY, NOW) as tx:
        people(tx, "a", "b", "c")
        opened(tx, "a")
        tx.resources.create(report("b"), id="linked")
        tx.resources.create(report("c"), id="waits")
    with store.transaction(GATEWAY, later(days=1)) as tx:
        tx.resources.update({**patient(**link("b", "c")), "id": "a"})
    with store.transaction(GATEWAY, later(days=2)) as tx:
        tx.resources.update({**patient(**link("b")), "id": "a"})
    with store.transaction(GATEWAY, later(days=9)) as tx:
        assert tx.cases.expire_orphans(later(days=8)) == [("DiagnosticReport", "waits")]

    def derived() -> list[list[tuple[Any, ...]]]:
        record, link_row = tables.record.c, tables.patient_link.c
        queries = [
            select(record.resource, record.patient_id, record.since, record.until, record.orphan, record.expired),
            select(link_row.resource, link_row.patient_id, link_row.other_id, link_row.since, link_row.until),
        ]
        with store.snapshot(GATEWAY) as tx:
            return [sorted((tuple(row) for row in tx._work.connection.execute(query)), key=repr) for query in queries]

    before = derived()
    assert store.reindex(later(days=10), size=2) == 6
    assert derived() == before
    assert len(before[1]) == 4


def test_no_question_about_people_walks_a_table(store: Store) -> None:
    with store.transaction(CLINIC, NOW) as tx:
        people(tx, "a", "b", b=link("a"))
        case = opened(tx, "a")
        tx.resources.create(report("b"), id="r")
        assert tx.cases.orphans() == []
        connection = tx._work.connection
        questions: dict[str, Any] = {
            "person": lambda: tx.identities.person("a", NOW),
            "parted": lambda: tx.identities.parted("a", "b"),
            "alike": lambda: tx.identities.alike(patient(), ["MRN-1"]),
            "waiting": lambda: tx.identities.waiting(["a"]),
            "touched": lambda: tx.cases.touched_by(["DiagnosticReport/r", "Patient/b"]),
            "records": lambda: tx.cases.records_of(case),
            "then": lambda: tx.cases.records_of(case, NOW),
            "orphans": lambda: tx.cases.orphans(),
            "expired": lambda: tx.cases.orphans(expired=True),
            "expire": lambda: tx.cases.expire_orphans(later(days=1)),
        }
        for name, question in questions.items():
            with sent(connection) as statements:
                question()
            assert statements, name
            for statement, values in statements:
                steps = plan(connection, statement, values)
                assert not [step for step in steps if walks(step)], (name, steps)
                assert any(is_indexed(step) for step in steps), (name, steps)
                if name in ("orphans", "expired", "expire"):
                    assert any("ix_record_orphan" in step or "ix_record_waiting" in step for step in steps), (name, steps)
