"""What a judgement changed, queued for whoever has to be told: in the same transaction, each thing once (ADR 0013)."""

from __future__ import annotations

from collections.abc import Sequence

from fhir_gateway.pipeline.results import Judged
from fhir_gateway.store import Transaction


def announce(tx: Transaction, judged: Sequence[Judged]) -> None:
    """Queue what these judgements have to tell."""
