"""Are two Patient resources the same person? A grade, a score, and why. Pure.

    certain        a family name, the birth date and an identifier agree, and nothing speaks against it
    probable       family name, birth date and given name agree; no identifier is shared, none contradicts
    possible       some of it agrees: a twin, a nickname, a changed name, a day typed wrong. A person has to look
    certainly-not  the rest

Grades are those of FHIR (http://terminology.hl7.org/CodeSystem/match-grade). Only `certain` may be acted on without a person: the issue's rule is that
name, birth date and an identifier must agree. Identifiers are compared by value, since another sender names the same number under another system.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from fhir_gateway.cases.evidence import codings, text, walk
from fhir_gateway.cases.model import Json

Grade = Literal["certain", "probable", "possible", "certainly-not"]
GRADES: Final = "http://terminology.hl7.org/CodeSystem/match-grade"
Said = Literal["agrees", "near", "unknown", "differs"]

SHORTEST: Final = 4
"""Characters of an identifier that is worth comparing: a `1` of two senders says nothing."""
# v2-0203 types of numbers that name an account, a visit or an order rather than a person.
NOT_A_PERSON: Final = frozenset({"AN", "VN", "PLAC", "FILL", "ACSN"})
# Types of numbers a family may share: they speak for a person only together with the given name.
FAMILY: Final = frozenset({"MB", "MC", "MA", "SN"})
# Types of which a person has one under one system: two of them are two people.
UNIQUE: Final = frozenset({"SS", "NI", "HC", "NH", "NIIP"})
# What each sign adds to the score when it agrees, when it is near, and what it takes away when it differs.
WEIGHTS: Final[dict[str, tuple[float, float, float]]] = {
    "family": (0.25, 0.1, 0.3),
    "birthDate": (0.25, 0.1, 0.3),
    "given": (0.15, 0.1, 0.2),
    "gender": (0.05, 0.0, 0.2),
    "identifier": (0.3, 0.15, 0.2),
}
# The scores a grade may have, so that the two never contradict each other.
BOUNDS: Final[dict[Grade, tuple[float, float]]] = {
    "certain": (0.9, 1.0),
    "probable": (0.7, 0.89),
    "possible": (0.3, 0.69),
    "certainly-not": (0.0, 0.29),
}
_ODD: Final = re.compile(r"[^0-9a-z]+")


@dataclass(frozen=True, slots=True)
class Match:
    """grade and score (0 to 1). signs: element of Patient → what it says, in the order of WEIGHTS; no values, so it may be shown and logged."""

    grade: Grade
    score: float
    signs: tuple[tuple[str, Said], ...]

    @property
    def certain(self) -> bool:
        """May the two be taken for one person without asking anybody?"""
        return self.grade == "certain"


def match(one: Json, other: Json) -> Match:
    """Compare two Patients. The order of the two decides nothing."""
    signs: dict[str, Said] = {
        "family": _family(one, other),
        "birthDate": _born(one, other),
        "given": _given(one, other),
        "gender": _gender(one, other),
        "identifier": _identifier(one, other),
    }
    grade = _grade(signs)
    low, high = BOUNDS[grade]
    raw = sum({"agrees": WEIGHTS[name][0], "near": WEIGHTS[name][1], "differs": -WEIGHTS[name][2]}.get(said, 0.0) for name, said in signs.items())
    return Match(grade, round(min(max(raw, low), high), 2), tuple(signs.items()))


def numbers(patient: Json) -> dict[str, set[str]]:
    """Identifier values that name a person, made comparable (case, punctuation and leading zeros aside), each with its v2-0203 types."""
    found: dict[str, set[str]] = {}
    for identifier in walk(patient, "identifier"):
        value = identifier.get("value") if isinstance(identifier, dict) else None
        types = {code for _, code in codings(identifier.get("type"))} if isinstance(identifier, dict) else set()
        plain = _ODD.sub("", value.casefold()).lstrip("0") if isinstance(value, str) else ""
        if len(plain) >= SHORTEST and not types & NOT_A_PERSON:
            found.setdefault(plain, set()).update(types)
    return found


def _grade(signs: dict[str, Said]) -> Grade:
    named = signs["family"] == "agrees" and signs["birthDate"] == "agrees"
    against = [name for name, said in signs.items() if said == "differs"]
    if named and not against:
        if signs["identifier"] == "agrees" or (signs["identifier"] == "near" and signs["given"] == "agrees"):
            return "certain"
        return "probable" if signs["given"] in ("agrees", "near") else "possible"
    if named:
        return "possible"
    shared = signs["identifier"] in ("agrees", "near")
    half = "agrees" in (signs["family"], signs["birthDate"]) or "near" in (signs["family"], signs["birthDate"])
    return "possible" if shared and half and signs["gender"] != "differs" else "certainly-not"


def _family(one: Json, other: Json) -> Said:
    names, others = ({_fold(name) for name in walk(p, "name.family") if isinstance(name, str)} - {""} for p in (one, other))
    if not names or not others:
        return "unknown"
    if names & others:
        return "agrees"
    # A double name of which one half is used: Marlowe, Marlowe-Reyes.
    parts, other_parts = ({part for name in some for part in name.split()} for some in (names, others))
    return "near" if parts & other_parts else "differs"


def _given(one: Json, other: Json) -> Said:
    """By the first given name of each name: an initial, a nickname that is a beginning and a second name used first are near."""
    first, second = (list(_givens(p)) for p in (one, other))
    if not first or not second:
        return "unknown"
    if {names[0] for names in first} & {names[0] for names in second}:
        return "agrees"
    return "near" if _begun(first, second) or _begun(second, first) else "differs"


def _begun(ones: list[list[str]], others: list[list[str]]) -> bool:
    words = {word for names in others for word in names}
    return any(word.startswith(names[0]) or names[0].startswith(word) for names in ones for word in words)


def _givens(patient: Json) -> Iterator[list[str]]:
    for name in walk(patient, "name"):
        parts = [_fold(part) for part in walk(name, "given") if isinstance(part, str)]
        words = [word for part in parts for word in part.split()]
        if words:
            yield words


def _born(one: Json, other: Json) -> Said:
    first, second = one.get("birthDate"), other.get("birthDate")
    if not isinstance(first, str) or not isinstance(second, str):
        return "unknown"
    if first == second:
        return "agrees" if len(first) == 10 else "near"
    if first.startswith(second) or second.startswith(first):
        return "near"
    # 1971-03-04 for 1971-04-03: day and month changed places.
    swapped = f"{first[:4]}-{first[8:10]}-{first[5:7]}" == second
    return "near" if swapped else "differs"


def _gender(one: Json, other: Json) -> Said:
    first, second = text(one, "gender"), text(other, "gender")
    known = {"male", "female"}
    if first not in known or second not in known:
        return "unknown"
    return "agrees" if first == second else "differs"


def _identifier(one: Json, other: Json) -> Said:
    """`near`: only a number a family may share."""
    if _contradict(one, other):
        return "differs"
    held, others = numbers(one), numbers(other)
    shared = [held[value] | others[value] for value in held.keys() & others.keys()]
    if not shared:
        return "unknown"
    return "agrees" if any(not types & FAMILY for types in shared) else "near"


def _contradict(one: Json, other: Json) -> bool:
    """Two different numbers of a kind a person has one of."""
    first, second = _unique(one), _unique(other)
    return any(not first[system] & second[system] for system in first.keys() & second.keys())


def _unique(patient: Json) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for identifier in walk(patient, "identifier"):
        if isinstance(identifier, dict) and isinstance(identifier.get("value"), str) and identifier.get("use") != "old":
            for kind in {code for _, code in codings(identifier.get("type"))} & UNIQUE:
                found.setdefault((str(identifier.get("system")), kind), set()).add(_ODD.sub("", identifier["value"].casefold()))
    return found


def _fold(name: str) -> str:
    """A name without case, accents and punctuation; words apart by one space."""
    plain = unicodedata.normalize("NFKD", name.casefold())
    letters = "".join(" " if not c.isalnum() else c for c in plain if not unicodedata.combining(c))
    return " ".join(letters.split())
