"""Which version has to stand, or may not, for a request to be done: If-Match and If-None-Match, and ifMatch and ifNoneMatch in a Bundle. Pure.

RFC 9110, sections 13.1.1 and 13.1.2; R4 http.html#concurrency. Entity tags are version ids here and always compared weakly: a version is one text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from fhir_gateway.errors import PreconditionError
from fhir_gateway.store import Stored

_TAG: Final = re.compile(r'(?:W/)?"?(\d{1,18})"?', re.ASCII)


@dataclass(frozen=True, slots=True)
class Tags:
    """The versions a header names; every: `*`, whichever there is."""

    versions: frozenset[int] = frozenset()
    every: bool = False

    @staticmethod
    def of(text: str) -> Tags:
        """`*`, or a list of entity tags. One this server never gave out names no version."""
        if text.strip() == "*":
            return Tags(every=True)
        found = (_TAG.fullmatch(part.strip()) for part in text.split(","))
        return Tags(frozenset(int(tag[1]) for tag in found if tag))

    def __contains__(self, version: int) -> bool:
        return self.every or version in self.versions


@dataclass(frozen=True, slots=True)
class Expected:
    """match: what must stand. none_match: what may not. None where nothing was said."""

    match: Tags | None = None
    none_match: Tags | None = None

    @staticmethod
    def of(match: str | None, none_match: str | None = None, at: str = "") -> Expected | None:
        """From the two headers, None when neither is there. Raises PreconditionError, located by `at`, for an If-Match without any version of this server."""
        if match is None and none_match is None:
            return None
        wanted = None if match is None else Tags.of(match)
        if match is not None and wanted == Tags():
            raise PreconditionError(f'If-Match {match[:40]!r} is not a version of this server; it looks like W/"3"', at)
        return Expected(wanted, None if none_match is None else Tags.of(none_match))

    @staticmethod
    def version(number: int) -> Expected:
        """This version and no other."""
        return Expected(Tags(frozenset((number,))))

    def check(self, held: Stored | None, name: str) -> None:
        """Raises PreconditionError when what is held under `Type/id` is not what was expected. A deleted resource has its last version, and none for `*`."""
        gone = held is None or held.deleted
        if self.match is not None:
            if held is None or (gone and self.match.every):
                raise PreconditionError(f"If-Match names a version of {name}, which does not exist")
            if held.version not in self.match:
                wanted = ", ".join(str(version) for version in sorted(self.match.versions))
                raise PreconditionError(f"{name} is at version {held.version}, not {wanted}")
        if self.none_match is not None and held is not None and not gone and held.version in self.none_match:
            raise PreconditionError(f"{name} is at version {held.version}, which If-None-Match excludes")
