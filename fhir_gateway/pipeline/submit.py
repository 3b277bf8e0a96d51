"""CoverageEligibilityRequest/$submit: the question and its answer, stored together; a payer that is asked by machine is given its time to answer.

The body is the request, or a Parameters or collection Bundle that holds one with what it refers to. What is held here is used as it is held; what is not
travels inside the stored request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from fhir_gateway.cases.evidence import walk
from fhir_gateway.errors import InvalidError
from fhir_gateway.pipeline import enquiry, writes
from fhir_gateway.pipeline.casework import Casework
from fhir_gateway.pipeline.delivery import Delivery, Later, Outcome, Unsendable
from fhir_gateway.pipeline.outgoing import Outgoing
from fhir_gateway.pipeline.references import rewritten
from fhir_gateway.pipeline.translate import translated
from fhir_gateway.security.principal import GATEWAY, Principal
from fhir_gateway.settings import Settings
from fhir_gateway.store import Store, Stored, Transaction

Json = dict[str, Any]
Carry = Callable[[Delivery, float], Outcome]
CARRIED: Final = frozenset({"Coverage", "Location", "Organization", "Patient", "Practitioner", "PractitionerRole", "RelatedPerson"})
"""What may travel inside the stored request when it is not held here."""


@dataclass(frozen=True, slots=True)
class Submission:
    """Everything it needs, wired once. carriers: ways out by `Delivery.channel`, filled by who runs the service; without one a question waits its turn."""

    store: Store
    casework: Casework
    outgoing: Outgoing
    settings: Settings
    clock: Callable[[], datetime]
    carriers: dict[str, Carry] = field(default_factory=dict)

    def submit(self, principal: Principal, body: Json, base: str = "", *, brief: bool = False) -> Stored:
        """The answer; its outcome is `queued` when the payer has not answered in its time. base: of this server as the client wrote it, by which it may name
        what is held here. brief: the body is small, so that others may share the transaction. Raises InvalidError, NotFoundError.
        """
        here = f"{base}/" if base else ""
        request, others = _parts(rewritten(body, lambda name: name.removeprefix(here) if here and name.startswith(here) else None))
        now = self.clock()

        def work(tx: Transaction) -> Stored:
            given = {key: value for key, value in _whole(tx, request, others).items() if key != "id"}
            writes.checked(given, enquiry.TYPE)
            if self.settings.strict_references:
                writes.check_references(tx, [(enquiry.TYPE, given)], set())
            made = writes.create(tx, given)
            self.casework.after(tx, [made.stored], now)  # before anything is flushed: question and answer are written together
            tx.audit.append("submit", enquiry.TYPE, made.stored.id)
            return next(one for one in tx.written() if one.type == enquiry.ANSWER and _answers(one, made.stored))

        with translated():
            answer = self.store.run(principal, now, work, brief=brief)
        if answer.resource.get("outcome") == "queued" and self.carriers:
            self._at_once(answer)
            with translated(), self.store.snapshot(GATEWAY) as tx:
                answer = tx.resources.read(enquiry.ANSWER, answer.id) or answer
        return answer

    def _at_once(self, answer: Stored) -> None:
        """Ask the payer without waiting for the worker's turn; what comes of it is settled as if the worker had asked."""
        request = str(answer.resource["request"]["reference"]).partition("/")[2]
        job = self.outgoing.claim(f"{enquiry.KIND}/{request}/1")
        if job is None:
            return
        try:
            (delivery,) = self.outgoing.prepare(job)
            outcome = self.carriers[delivery.channel](delivery, delivery.seconds or self.settings.send_seconds)
        except Later as rest:
            outcome = Outcome(good=False, error=str(rest), retry_at=rest.at)
        except Unsendable as why:
            outcome = Outcome(good=False, error=str(why), final=True)
        self.outgoing.settle(job, outcome)


def _parts(body: Json) -> tuple[Json, dict[str, Json]]:
    """The one request in a body, and what came with it by the names it may be referred to. Raises InvalidError."""
    kind = body.get("resourceType")
    if kind == enquiry.TYPE:
        return _open(body), {}
    entries = [one for one in walk(body, {"Parameters": "parameter", "Bundle": "entry"}.get(str(kind), "")) if isinstance(one, dict)]
    bundles = [one["resource"] for one in entries if walk(one, "resource.resourceType") == ["Bundle"]]  # R4: the parameter `resource` may be a Bundle
    entries += [one for bundle in bundles for one in walk(bundle, "entry") if isinstance(one, dict)]
    found = [(one.get("fullUrl"), one["resource"]) for one in entries if isinstance(one.get("resource"), dict)]
    requests = [resource for _, resource in found if resource.get("resourceType") == enquiry.TYPE]
    if len(requests) != 1:
        place = {"Parameters": "Parameters.parameter", "Bundle": "Bundle.entry"}.get(str(kind), "resourceType")
        raise InvalidError(f"$submit takes one {enquiry.TYPE}, by itself or in a Parameters or Bundle; here are {len(requests)}", place)
    others: dict[str, Json] = {}
    for url, resource in found:
        if resource.get("resourceType") in CARRIED:
            names = [url, f"{resource['resourceType']}/{resource.get('id')}"]
            others |= {str(name): resource for name in names if name}
    return _open(requests[0]), others


def _open(request: Json) -> Json:
    if request.get("status") not in (None, "active"):
        raise InvalidError(f"Only an active request asks something; this one is {str(request['status'])[:40]}", f"{enquiry.TYPE}.status")
    return request


def _whole(tx: Transaction, request: Json, others: Mapping[str, Json]) -> Json:
    """The request with what came beside it and is not held here inside it."""
    if not others:
        return request
    inside: dict[str, Json] = {}

    foreign = {id(one) for name, one in others.items() if ":" in name}  # by its fullUrl: the id is its id elsewhere (bundle.html#references)

    def place(name: str) -> str | None:
        resource = others.get(name)
        if resource is None:
            return None
        held = None if id(resource) in foreign else tx.resources.read(str(resource["resourceType"]), str(resource.get("id", "")))
        if held is not None and not held.deleted:
            return held.reference
        label = f"{str(resource['resourceType']).lower()}-{list(others.values()).index(resource) + 1}"
        inside[label] = {key: value for key, value in resource.items() if key not in ("id", "meta")} | {"id": label}
        return f"#{label}"

    made: Json = rewritten(request, place)
    while pending := [label for label, one in inside.items() if rewritten(one, place) != one]:
        for label in pending:
            inside[label] = rewritten(inside[label], place)
    return made | ({"contained": [*made.get("contained", ()), *inside.values()]} if inside else {})


def _answers(response: Stored, request: Stored) -> bool:
    return request.reference in walk(response.resource, "request.reference")
