"""What a person's Consents forbid the payers configured here to be told, on one day."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, tzinfo

from fhir_gateway.store.stored import Json
from profiles.restriction import Asked, forbidden, restricts


@dataclass(slots=True)
class Forbidden:
    """payer_of: the payer that the Reference of an actor of a Consent means, None for none; asked once for each. today: in the clinic's zone."""

    consents: Sequence[Json]
    payer_of: Callable[[Json, Json], str | None]
    today: date
    zone: tzinfo
    _meant: dict[tuple[int, str], str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.consents = [one for one in self.consents if restricts(one)]

    def __call__(self, payer: str, about: Collection[str], *, document: bool = False) -> bool:
        """May this payer not be told? about: see `shares.Forbids`."""
        return bool(self.consents) and forbidden(
            self.consents, Asked(about, lambda actor, consent: self._means(actor, consent) == payer, self.today, self.zone, document)
        )

    def _means(self, actor: Json, consent: Json) -> str | None:
        key = (id(consent), str(actor))
        if key not in self._meant:
            self._meant[key] = self.payer_of(actor, consent)
        return self._meant[key]
