"""The principal: on whose behalf a store call is made. Every store call takes one; rows carry their owner (the sender's organisation)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["administrator", "clinic", "referrer", "payer", "gateway"]


@dataclass(frozen=True, slots=True)
class Principal:
    """role: decides the compartment (DOMAIN access matrix). organisation: owner of what this principal sends, "" for the clinic's own. name: for audit."""

    role: Role
    organisation: str = ""
    name: str = ""

    @property
    def sees_everything(self) -> bool:
        """The clinic and the gateway's own work see all rows; everyone else sees a compartment."""
        return self.role in ("administrator", "clinic", "gateway")


GATEWAY = Principal("gateway", name="gateway")
"""The gateway itself: recovery, the worker, migrations."""
