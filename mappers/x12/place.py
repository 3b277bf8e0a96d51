"""Where in an interchange something is, and what is said about it: the one error of this package and the findings that do not stop it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple


class Place(NamedTuple):
    """number: of the segment in the file, from 1 (ISA). segment: its id. element, component: from 1, as the guide counts (EB07, EB13-2)."""

    number: int
    segment: str = ""
    element: int | None = None
    component: int | None = None

    def __str__(self) -> str:
        text = f"segment {self.number}"
        if self.segment:
            text += f" ({self.segment})"
        if self.element is not None:
            text += f", element {self.element}"
            if self.component is not None:
                text += f", component {self.component}"
        return text

    @property
    def short(self) -> str:
        """As the guide writes it: `EB07`, `EB13-2`; with the segment's number: `EB[14]07`."""
        text = f"{self.segment or '?'}[{self.number}]"
        if self.element is not None:
            text += f"{self.element:02d}"
            if self.component is not None:
                text += f"-{self.component}"
        return text


@dataclass(frozen=True, slots=True)
class Finding:
    """Something worth saying that did not stop the reading. error: content is wrong or may be lacking; information: a harmless oddity.

    `text` never quotes a value: it may be about a person.
    """

    severity: Literal["error", "information"]
    text: str
    where: Place

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


class X12Error(Exception):
    """The bytes can't be read, or a value can't be written, as X12. `text` is for a clerk and quotes no value; `where` is the place."""

    def __init__(self, text: str, where: Place) -> None:
        super().__init__(f"{where}: {text}")
        self.text = text
        self.where = where
