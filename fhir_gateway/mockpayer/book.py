"""Where each member's scenario stands, and what was asked. Shared by the ways in, which answer in several threads."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from fhir_gateway.mockpayer.script import STRANGER, Decision, Script, Step

Json = dict[str, Any]
_NOTHING = Decision("denied", reason="No authorisation is given under this plan.")


@dataclass(slots=True)
class Book:
    """members: the script's, as changed since. asked: what came in, in order: way (`fhir`, `x12`, `file`, `claim`), member, and what the way adds."""

    script: Script
    members: dict[str, str] = field(init=False)
    asked: list[Json] = field(default_factory=list)
    _taken: Counter[tuple[str, str]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.members = dict(self.script.members)

    def step(self, way: str, member: str, **told: Any) -> Step:
        """The next answer about a member's eligibility."""
        scenario = self.script.scenarios.get(self.members.get(member, ""))
        at = self._next("eligibility", way, member, told)
        return scenario.eligibility[min(at, len(scenario.eligibility) - 1)] if scenario else STRANGER

    def decision(self, member: str, **told: Any) -> Decision:
        """The next answer about a member's authorisation; a member without one is refused."""
        scenario = self.script.scenarios.get(self.members.get(member, ""))
        at = self._next("authorisation", "claim", member, told)
        steps = scenario.authorisation if scenario else ()
        return steps[min(at, len(steps) - 1)] if steps else _NOTHING

    def play(self, member: str, scenario: str) -> None:
        """From now on a member has this scenario, from its beginning. Raises KeyError when there is none of that name."""
        with self._lock:
            self.script.scenarios[scenario]
            self.members[member] = scenario
            for part in ("eligibility", "authorisation"):
                self._taken.pop((part, member), None)

    def begin_anew(self) -> None:
        """Every member has its scenario of the script, from its beginning; nothing has been asked."""
        with self._lock:
            self.members = dict(self.script.members)
            self.asked.clear()
            self._taken.clear()

    def _next(self, part: str, way: str, member: str, told: Json) -> int:
        with self._lock:
            self.asked.append({"way": way, "member": member, **told})
            at = self._taken[part, member]
            self._taken[part, member] += 1
            return at
