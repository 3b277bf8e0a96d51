"""Who a CoverageEligibilityRequest is about, and which of the Coverages held it asks one payer about. FHIR R4, CoverageEligibilityRequest.

Whatever a reference leads to here counts as it is held: by `Type/id`, by an identifier, or contained and told by its numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

from fhir_gateway.cases.evidence import walk
from fhir_gateway.cases.permission import identity
from fhir_gateway.coverage.payer import Payer
from fhir_gateway.pipeline.payers import Payers, organizations
from fhir_gateway.store import Stored, Transaction
from fhir_gateway.store.search import parse_query
from fhir_gateway.store.search.references import local

Json = dict[str, Any]


def patient(tx: Transaction, request: Json) -> Stored | None:
    """The Patient held: the one referred to, or the only one that has an identifier of the reference, or of the contained one."""
    named = request["patient"]
    if here := local(str(named.get("reference", ""))):
        stored = tx.resources.read(*here) if here[0] == "Patient" else None
        return stored if stored is not None and not stored.deleted else None
    told = [*walk(_contained(request, named), "identifier"), *walk(named, "identifier")]
    tokens = [f"{one.get('system', '')}|{one['value']}" for one in told if isinstance(one, dict) and one.get("system") and one.get("value")]
    found = _found(tx, "Patient", "identifier", tokens) if tokens else []
    return found[0] if len(found) == 1 else None


def insured(tx: Transaction, request: Json, member: Stored, payers: Payers) -> tuple[Payer | None, list[tuple[str, Json]]]:
    """The payer to be asked (None for one that nobody has configured) and the (reference, Coverage) it is asked about.

    The focal ones where any is (`insurance.focal`: to be used for evaluation of this request); without `insurance` all that are held. Of several payers only
    the Coverages of one: the insurer's ("the recipient of the request"), or, where named ones are none of its own, those of the payer of the first.
    """
    under = [one for one in walk(request, "insurance") if isinstance(one, dict)]
    focal = [one for one in under if one.get("focal") is True] or under
    held = cache(lambda: _found(tx, "Coverage", "beneficiary", [member.reference]))  # most questions name what they ask about
    found = [one for part in focal for one in _named(tx, request, part.get("coverage"), held, member)] if focal else held()
    coverages = list({one.reference: one.resource for one in found}.items())
    insurer = _insurer(request)
    ours = [(name, one) for name, one in coverages if _same(tx, payers, one, insurer)]
    if not ours and focal and coverages:
        first = coverages[0][1]
        ours = [(name, one) for name, one in coverages if one is first or _same(tx, payers, one, *_payors(first))]
    return payers.of(tx, [held for _, held in ours[:1]], insurer), ours


def holder(tx: Transaction, coverage: Json, member: Stored) -> Json:
    """Who holds a policy, where that is somebody else."""
    name = next((str(one) for one in walk(coverage, "subscriber.reference")), "")
    if name == member.reference or not name.startswith(("Patient/", "RelatedPerson/")):
        return {}
    stored = tx.resources.read_many([name]).get(name)
    return stored.resource if stored is not None and not stored.deleted else {}


def _named(tx: Transaction, request: Json, named: Any, held: Callable[[], Sequence[Stored]], member: Stored) -> list[Stored]:
    """The Coverages of this member that a reference leads to: one by its name; by an identifier, or what is contained, those of the same number.

    held: all of them.
    """
    if not isinstance(named, dict):
        return []
    if here := local(str(named.get("reference", ""))):
        stored = tx.resources.read(*here) if here[0] == "Coverage" else None
        return [stored] if stored is not None and not stored.deleted and _is_of(stored, member) else []
    inside = _contained(request, named)
    numbers = {str(one) for one in walk(inside, "subscriberId")}
    names = {(str(one.get("system", "")), str(one.get("value"))) for one in (*walk(inside, "identifier"), *walk(named, "identifier"))}
    return [
        one
        for one in held()
        if str(one.resource.get("subscriberId")) in numbers
        or any((str(own.get("system", "")), str(own.get("value"))) in names for own in walk(one.resource, "identifier"))
    ]


def _same(tx: Transaction, payers: Payers, coverage: Json, *payors: Json) -> bool:
    """Is a Coverage of the payer that is meant? By the payer configured for both, or else by the same name, number or Organization."""
    meant, ours = payers.of(tx, [{"payor": list(payors)}]), payers.of(tx, [coverage])
    if meant is not None or ours is not None:
        return meant is not None and ours is not None and meant.name == ours.name
    return bool(_names(tx, payors) & _names(tx, _payors(coverage)))


def _names(tx: Transaction, payors: Iterable[Json]) -> set[str]:
    given = list(payors)
    held = [str(name).casefold() for one in organizations(tx, given) for path in ("name", "identifier.value") for name in walk(one, path)]
    return set().union(*(identity(one) for one in given), held)


def _insurer(request: Json) -> Json:
    """The insurer, with what is contained of it told in the reference."""
    given: Json = request["insurer"]
    inside = _contained(request, given)
    numbers = [one for one in walk(inside, "identifier") if isinstance(one, dict)]
    return {**({"display": inside["name"]} if inside.get("name") else {}), **({"identifier": numbers[0]} if numbers else {}), **given}


def _payors(coverage: Json) -> list[Json]:
    return [one for one in walk(coverage, "payor") if isinstance(one, dict)]


def _is_of(coverage: Stored, member: Stored) -> bool:
    return str(next(iter(walk(coverage.resource, "beneficiary.reference")), "")) in (member.reference, "")


def _found(tx: Transaction, type: str, parameter: str, values: Sequence[str]) -> list[Stored]:
    text = ",".join(value.replace("\\", "\\\\").replace(",", "\\,") for value in values)
    return list(tx.search(type, parse_query(type, [(parameter, text), ("_count", "50")])).entries)


def _contained(request: Json, named: Any) -> Json:
    name = str(named.get("reference", "")) if isinstance(named, dict) else ""
    return next((one for one in walk(request, "contained") if isinstance(one, dict) and name == f"#{one.get('id')}"), {})
