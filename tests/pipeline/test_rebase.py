"""Carrying what a message says today over to what its resource holds now: properties that hold for any history, without a database."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fhir_gateway.pipeline.rebase import Version, applied, cells, rebase

VALUES = st.sampled_from(["a", "b", "c"])
EXTENSION = st.builds(lambda name, value: {"url": name, "valueString": value}, st.sampled_from(["x", "y"]), VALUES)


def contents() -> st.SearchStrategy[dict[str, Any]]:
    plain = st.dictionaries(st.sampled_from(["gender", "birthDate", "maritalStatus"]), VALUES, max_size=3)
    listed = st.lists(EXTENSION, min_size=1, max_size=3)
    return st.builds(
        lambda given, extra: {"resourceType": "Patient", "id": "1", **given} | ({"extension": extra} if extra else {}), plain, st.none() | listed
    )


HANDS = st.sampled_from(["this", "earlier", "later", "person"])
HISTORIES = st.tuples(contents().map(lambda c: Version(c, "this")), st.lists(st.builds(Version, contents(), HANDS), max_size=4)).map(
    lambda pair: [pair[0], *pair[1]]
)


@given(HISTORIES)
def test_the_same_word_changes_nothing(versions: list[Version]) -> None:
    """What the message said at its place, said again: whatever has become of the resource stays, unless the message itself said otherwise since."""
    again = rebase(versions, 0, versions[0].content)
    if not any(version.hand == "this" for version in versions[1:]):
        assert (again.changes, again.conflicts) == ((), ())
        assert again.content == versions[-1].content


@given(HISTORIES, contents())
def test_nothing_a_person_or_a_later_message_wrote_is_overwritten(versions: list[Version], expected: dict[str, Any]) -> None:
    found = rebase(versions, 0, expected)
    now, rows = cells(found.content), [cells(version.content) for version in versions]
    for cell in {*now, *rows[-1]}:
        wrote = next((n for n in range(len(rows) - 1, 0, -1) if rows[n].get(cell) != rows[n - 1].get(cell)), 0)
        if versions[wrote].hand in ("person", "later"):
            assert now.get(cell) == rows[-1].get(cell)


@given(HISTORIES, contents())
def test_once_applied_it_is_done(versions: list[Version], expected: dict[str, Any]) -> None:
    found = rebase(versions, 0, expected)
    again = rebase([*versions, Version(found.content, "this")], 0, expected)
    assert again.changes == ()
    assert again.conflicts == found.conflicts
    assert again.content == found.content


@given(HISTORIES, contents())
def test_where_nobody_else_wrote_the_new_word_stands_whole(versions: list[Version], expected: dict[str, Any]) -> None:
    mine = [Version(version.content, "this") for version in versions]
    found = rebase(mine, 0, expected)
    held = cells(mine[-1].content)
    for cell, value in cells(expected).items():
        assert cells(found.content)[cell] == value or held.get(cell) == cells(found.content).get(cell)
    assert found.conflicts == ()


@given(contents())
def test_cells_hold_everything_but_who_holds_it(one: dict[str, Any]) -> None:
    assert applied(one, []) is one
    taken = {key: value for key, value in one.items() if key not in ("id", "resourceType")}
    parts = cells(one)
    assert {element for element, _ in parts} == set(taken)
    assert sum(len(items) for (element, _), items in parts.items() if element == "extension") == len(one.get("extension", ()))
