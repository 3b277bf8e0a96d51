"""Segments and their separators: the smallest things an interchange is made of. Text is split once; elements are taken apart when asked for."""

from __future__ import annotations

from typing import Final, NamedTuple

from mappers.x12.place import Place


class Separators(NamedTuple):
    """What ISA declares: its fourth character, ISA11, ISA16 and the character after it. repetition is "" before version 00402 (ISA11 `U`)."""

    element: str = "*"
    repetition: str = "^"
    component: str = ":"
    terminator: str = "~"


USUAL: Final = Separators()


class Segment:
    """One segment. `elements[n]` is element n as sent (`elements[0]` is the id).

    number: its place in the file, from 1. lead: line ends and blanks that stand before it. Nothing is decoded: X12 has no escapes.
    """

    __slots__ = ("elements", "id", "lead", "number", "separators")

    def __init__(self, elements: list[str], number: int, lead: str, separators: Separators) -> None:
        self.id = elements[0]
        self.elements = elements
        self.number = number
        self.lead = lead
        self.separators = separators

    def __repr__(self) -> str:
        return f"<{self.id} {self.number}>"  # never its values: they may be about a person

    def raw(self, element: int) -> str:
        """The element as sent, "" when it is not there."""
        return self.elements[element] if element < len(self.elements) else ""

    def value(self, element: int, component: int = 1) -> str:
        """First repetition's component without blanks around it, "" when absent."""
        elements = self.elements
        text = elements[element] if element < len(elements) else ""
        if not text or text.isalnum():
            return text if component == 1 else ""
        if self.separators.repetition and self.separators.repetition in text:
            text = text.split(self.separators.repetition, 1)[0]
        if self.separators.component in text:
            parts = text.split(self.separators.component)
            text = parts[component - 1] if component <= len(parts) else ""
        elif component > 1:
            return ""
        return text.strip()

    def repeats(self, element: int) -> list[str]:
        """Every repetition that says something, without blanks around it."""
        text = self.raw(element)
        parts = text.split(self.separators.repetition) if self.separators.repetition else [text]
        return [part.strip() for part in parts if part.strip()]

    def text(self, element: int) -> str:
        """The whole element as free text, where separators of repetitions and components are plain characters (MSG01, EB05)."""
        return self.raw(element).strip()

    def where(self, element: int | None = None, component: int | None = None) -> Place:
        return Place(self.number, self.id, element, component)

    def __str__(self) -> str:
        return self.separators.element.join(self.elements)
