"""A JSON document read member by member: what is wrong is noted at its place and reading goes on, so that one look finds every fault."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and the path of the member (`x12.senderId`, `rules[0].covered`; "" for the document)."""

    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where or 'the document'}: {self.text}"


@dataclass(slots=True)
class Members:
    """One object of a document. A member that is absent or faulty reads as empty. faults: shared by all objects of the document."""

    value: Mapping[str, Any]
    where: str
    faults: list[Fault]
    known: set[str] = field(default_factory=set)

    def text(self, name: str, *, required: bool = False, pattern: str = "", wanted: str = "", one_of: Collection[str] = ()) -> str:
        """A string. pattern: what the whole of it must match, told as `wanted`. one_of: the values it may have."""
        value = self._member(name, str, "a string", required)
        if value and pattern and not re.fullmatch(pattern, value):
            self.fault(name, f"must be {wanted}")
        elif value and one_of and value not in one_of:
            near = get_close_matches(value, one_of, 1)
            self.fault(name, f"must be one of {', '.join(sorted(one_of))}{f'; is {near[0]} meant?' if near else ''}")
        else:
            return value or ""
        return ""

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings."""
        found = self._member(name, list, "a list of strings", False) or []
        for place, value in enumerate(found):
            if not isinstance(value, str) or not value.strip():
                self.fault(f"{name}[{place}]", "must be a string that is not empty")
        return tuple(value for value in found if isinstance(value, str) and value.strip())

    def number(self, name: str, low: float, high: float) -> float | None:
        """A number between two others."""
        value = self.value.get(name)
        self.known.add(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            self.fault(name, f"must be a number from {low:g} to {high:g}")
            return None
        return float(value)

    def answer(self, name: str) -> bool | None:
        """true, false, or "unknown", which is what an absent one means."""
        value = self.value.get(name, "unknown")
        self.known.add(name)
        if isinstance(value, bool):
            return value
        if value != "unknown":
            self.fault(name, 'must be true, false or "unknown"')
        return None

    def child(self, name: str) -> Members | None:
        """An object within this one; None when there is none."""
        value = self._member(name, dict, "an object", False)
        return None if value is None else Members(value, self._path(name), self.faults)

    def children(self, name: str) -> list[Members]:
        """The objects of a list."""
        found = self._member(name, list, "a list of objects", False) or []
        for place, value in enumerate(found):
            if not isinstance(value, dict):
                self.fault(f"{name}[{place}]", "must be an object")
        places = [(place, value) for place, value in enumerate(found) if isinstance(value, dict)]
        return [Members(value, self._path(f"{name}[{place}]"), self.faults) for place, value in places]

    def no_others(self) -> None:
        """Every member that nobody has asked for is a fault: a misspelt one would silently do nothing."""
        for name in self.value:
            if name not in self.known:
                near = get_close_matches(name, self.known, 1)
                self.fault(name, f"is no member here{f'; is {near[0]} meant?' if near else ''}")

    def fault(self, name: str, text: str) -> None:
        """Note what is wrong with a member ("" for the object itself)."""
        self.faults.append(Fault(self._path(name), text))

    def _member(self, name: str, kind: type, wanted: str, required: bool) -> Any:
        self.known.add(name)
        value = self.value.get(name)
        if value is not None and not isinstance(value, kind):
            self.fault(name, f"must be {wanted}")
        elif required and not value:
            self.fault(name, "is missing")
        return value if isinstance(value, kind) else None

    def _path(self, name: str) -> str:
        return f"{self.where}.{name}" if self.where and name else self.where or name
