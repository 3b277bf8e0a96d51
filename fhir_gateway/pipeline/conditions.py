"""Conditions on a write (If-None-Exist, ifNoneExist, conditional update and delete): what they match, settled so that two at once never both create.

R4 http.html#ccreate, #cond-update, #3.1.0.7.1. A condition is read strictly: one that asks for nothing would match everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from fhir_gateway.errors import SeveralMatchesError, UnknownParameterError, UnreadableError
from fhir_gateway.pipeline.identity import keys_of
from fhir_gateway.store import Stored, Transaction
from fhir_gateway.store.errors import SearchError
from fhir_gateway.store.search import SearchQuery, parse_query
from mappers.result import IdentityKey

Json = dict[str, Any]

MAX_MATCHES: Final = 2
"""A condition needs to know only: none, one, or several."""
_OWN: Final = ("_id", "_lastUpdated", "_tag", "_profile", "_security", "_source", "_has")
"""Parameters with an underscore that say something about a resource; the others are about the answer and have no place in a condition."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition read. name: `system|value` when it is `identifier=system|value` and nothing else, so that identity keys decide it."""

    type: str
    query: SearchQuery
    text: str
    name: str | None

    def keys(self, resource: Json | None) -> list[IdentityKey]:
        """The identity keys that a resource made under this condition goes by; [] when no key can decide it."""
        if self.name is None:
            return []
        same = [key for key in keys_of(resource or {}) if key.value == self.name]
        return list(dict.fromkeys([IdentityKey(self.type, self.name), *same]))


def read(type: str, text: str) -> Condition:
    """`identifier=…`, `?identifier=…`, `Type?identifier=…`, or an absolute address ending so. Raises UnreadableError, UnknownParameterError."""
    pairs = _pairs(type, text)
    if not pairs or any(not value for _, value in pairs):
        raise UnreadableError(f"A condition on {type} must name at least one search parameter, each with a value", type)
    for name, _ in pairs:
        if name.startswith("_") and name.partition(":")[0] not in _OWN:
            raise UnreadableError(f"'{name[:64]}' has no place in a condition on {type}", type)
    try:
        query = parse_query(type, [*pairs, ("_count", str(MAX_MATCHES))])
    except SearchError as fault:
        raise UnknownParameterError(str(fault), type) from None
    if len(query.conditions) < len(pairs):
        raise UnreadableError(f"A condition on {type} has a search parameter without a value", type)
    return Condition(type, query, text, _name(pairs))


def _pairs(type: str, text: str) -> list[tuple[str, str]]:
    before, mark, after = text.strip().partition("?")
    if mark and "=" not in before:
        if before and before.rpartition("/")[2] != type:
            raise UnreadableError(f"The condition is on '{before.rpartition('/')[2][:64]}', not on {type}", type)
        text = after
    try:
        return parse_qsl(text.strip(), keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise UnreadableError(f"The condition on {type} can't be read", type) from None


def _name(pairs: Sequence[tuple[str, str]]) -> str | None:
    if len(pairs) != 1 or pairs[0][0] != "identifier" or "," in pairs[0][1] or "\\" in pairs[0][1]:
        return None
    system, bar, value = pairs[0][1].partition("|")
    return f"{system}|{value}" if bar and system and value else None


def hold(tx: Transaction, conditions: Iterable[Condition]) -> None:
    """Wait for, and then keep out, others with the same condition that no identity key decides. In one order for everyone."""
    for name in sorted({f"{condition.type}?{condition.text}" for condition in conditions if condition.name is None}):
        tx.lock(name)


def match(tx: Transaction, condition: Condition) -> Stored | None:
    """The one resource that matches, None when none does. Raises SeveralMatchesError."""
    found = tx.search(condition.type, condition.query).entries
    if len(found) > 1:
        raise SeveralMatchesError(f"The condition on {condition.type} matches several resources", condition.type)
    return found[0] if found else None
