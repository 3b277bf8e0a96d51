"""Identity keys of every draft of a message, given when all of it is mapped: what belongs to a patient, a report or a document is known through it.

Keys never contain MSH-10: the same content under a new control id is the same resource. `identity` knows people and organisations; here stands the
rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from mappers.result import Draft, IdentityKey, Json
from mappers.v2 import identity
from mappers.v2.context import Context
from mappers.v2.identity import by_identifiers, code_text, digest, key

_SUBJECTS: Final = ("subject", "patient", "beneficiary")
Keys = tuple[IdentityKey, ...]


class Scope:
    """The drafts of a message by reference, and the keys already given. focus: what the message is about."""

    def __init__(self, ctx: Context, focus: Draft | None) -> None:
        self.sender = ctx.sender
        self.focus = focus
        self.by_url = {d.full_url: d for d in ctx.drafts}
        self.patient = next((d for d in ctx.drafts if d.resource["resourceType"] == "Patient"), ctx.patient)
        self.owner = _owners(ctx.drafts)
        self.ordinals: Counter[tuple[str, ...]] = Counter()

    def of(self, reference: Json | None) -> str:
        """The strongest key of what a reference points at; its display or logical identifier when it points at no draft."""
        if not reference:
            return ""
        draft = self.by_url.get(reference.get("reference", ""))
        if draft is not None:
            return identity.first(draft.keys)
        if "identifier" in reference:
            return identity.id_text(reference["identifier"])
        return identity.folded(reference.get("display", ""))

    def subject(self, resource: Json) -> str:
        """The strongest key of the patient a resource is about."""
        for name in _SUBJECTS:
            held = resource.get(name)
            if isinstance(held, dict):
                return self.of(held)
        return identity.first(self.patient.keys)

    def ordinal(self, *parts: str) -> str:
        """1, 2, 3 ... for things of a message nothing else tells apart."""
        self.ordinals[parts] += 1
        return str(self.ordinals[parts])


def _owners(drafts: list[Draft]) -> dict[str, Draft]:
    """What each sub-resource belongs to: results, specimens and studies to their report, documents to the report they relate to, Binaries to their
    document, results that stand beside a document to it.
    """
    owner: dict[str, Draft] = {}
    reports = {d.full_url: d for d in drafts if d.resource["resourceType"] == "DiagnosticReport"}
    for report in reports.values():
        for name in ("result", "specimen", "imagingStudy"):
            for reference in report.resource.get(name, ()):
                owner[reference["reference"]] = report
    results = {d.full_url for d in drafts if d.resource["resourceType"] == "Observation"}
    for draft in drafts:
        if draft.resource["resourceType"] != "DocumentReference":
            continue
        for content in draft.resource["content"]:
            owner[content["attachment"].get("url", "")] = draft
        for related in draft.resource.get("context", {}).get("related", ()):
            url = related.get("reference")
            if url in reports:
                owner[draft.full_url] = reports[url]
            elif url in results:
                owner.setdefault(url, draft)
    return owner


def assign(ctx: Context, focus: Draft | None) -> None:
    """Give every draft without keys its keys. Two drafts of one message that would stand alone never share a key."""
    scope = Scope(ctx, focus)
    drafts = sorted(ctx.drafts, key=lambda d: _ORDER.get(d.resource["resourceType"], 50))
    taken: set[IdentityKey] = set()
    for draft in drafts:
        make = _MAKERS.get(draft.resource["resourceType"])
        if make is not None and not draft.keys:
            draft.keys = make(draft, scope)
        if draft.merge != "enrich" or draft.resource["resourceType"] == "DiagnosticReport":
            draft.keys = tuple(_apart(k, taken) for k in draft.keys)
        taken.update(draft.keys)


def _apart(found: IdentityKey, taken: set[IdentityKey]) -> IdentityKey:
    candidate, number = found, 1
    while candidate in taken:
        number += 1
        candidate = IdentityKey(found.kind, f"{found.value}\t#{number}")
    return candidate


def _patient(draft: Draft, scope: Scope) -> Keys:
    return identity.patient(draft.resource, scope.sender)


def _practitioner(draft: Draft, scope: Scope) -> Keys:
    return identity.practitioner(draft.resource, scope.sender, identity.first(scope.patient.keys))


def _organization(draft: Draft, scope: Scope) -> Keys:
    return identity.organization(draft.resource, scope.sender)


def _role(draft: Draft, scope: Scope) -> Keys:
    resource = draft.resource
    who, where = scope.of(resource.get("practitioner")), scope.of(resource.get("organization"))
    if not who and not where:
        return ()
    return (key("PractitionerRole", who, where, *(code_text(c) for c in resource.get("code", ())[:1])),)


def _related_person(draft: Draft, scope: Scope) -> Keys:
    resource, patient = draft.resource, scope.subject(draft.resource)
    if not patient:
        return ()
    keys = [key("RelatedPerson", patient, identity.id_text(i)) for i in resource.get("identifier", ())]
    if not keys and (names := resource.get("name")):
        keys = [key("RelatedPerson:name", scope.sender, patient, identity.name_text(names[0]))]
    return tuple(dict.fromkeys(keys))


def _coverage(draft: Draft, scope: Scope) -> Keys:
    resource = draft.resource
    member = resource.get("subscriberId") or next((i["value"] for i in resource.get("identifier", ())), "")
    plan = "" if member else digest([c.get("value") for c in resource.get("class", ())])
    payor = scope.of(resource["payor"][0])
    return (key("Coverage", payor, member or plan, scope.subject(resource), str(resource.get("period", {}).get("start", ""))),)


def _service_request(draft: Draft, scope: Scope) -> Keys:
    """A referral is known by its own numbers; an order by its number and code, under another kind, so that a result naming a referral's number never
    replaces the referral.
    """
    resource = draft.resource
    if draft is scope.focus:
        found = by_identifiers("ServiceRequest", resource)
        reasons = [code_text(c) for c in resource.get("reasonCode", ())]
        return found or (key("ServiceRequest:referral", scope.sender, scope.subject(resource), digest(reasons, resource.get("authoredOn"))),)
    code = code_text(resource.get("code"))
    orders = tuple(dict.fromkeys(key("ServiceRequest:order", identity.id_text(i), code) for i in resource.get("identifier", ())))
    return orders or (key("ServiceRequest:order", scope.sender, scope.subject(resource), code, str(resource.get("authoredOn", ""))),)


def _report(draft: Draft, scope: Scope) -> Keys:
    resource = draft.resource
    code = code_text(resource.get("code"))
    ranked = sorted(resource.get("identifier", ()), key=lambda i: identity.type_code(i) != "FILL")
    found = tuple(dict.fromkeys(key(f"DiagnosticReport:{identity.type_code(i)}", identity.id_text(i), code) for i in ranked))
    return found[:1] or (key("DiagnosticReport", scope.sender, scope.subject(resource), code, _when(resource, "effective")),)


def _when(resource: Json, name: str) -> str:
    period = resource.get(f"{name}Period", {})
    return str(resource.get(f"{name}DateTime") or period.get("start") or period.get("end") or "")


def _sub_id(resource: Json) -> str:
    for extension in resource.get("extension", ()):
        if extension["url"].endswith("observation-v2-subid"):
            return ".".join(str(next(v for k, v in inner.items() if k != "url")) for inner in extension["extension"])
    return ""


def _within_report(kind: str, code_name: str) -> Callable[[Draft, Scope], Keys]:
    def make(draft: Draft, scope: Scope) -> Keys:
        resource = draft.resource
        owner = scope.owner.get(draft.full_url)
        if owner is not None and owner is not draft:
            base = identity.first(owner.keys)
        else:
            base = "\t".join((scope.sender, scope.subject(resource), _when(resource, "effective")))
        parts = (base, code_text(resource.get(code_name)), _sub_id(resource))
        return (key(kind, *parts, scope.ordinal(kind, *parts)),)

    return make


def _specimen(draft: Draft, scope: Scope) -> Keys:
    found = by_identifiers("Specimen", draft.resource)
    return found or _within_report("Specimen", "type")(draft, scope)


def _document(draft: Draft, scope: Scope) -> Keys:
    """By its own number (TXA-12); else as part of its report; else by what it says, so that two documents of one type stay two."""
    resource = draft.resource
    if number := resource.get("masterIdentifier"):
        return (key("DocumentReference", identity.id_text(number)),)
    if draft.full_url in scope.owner:
        return _within_report("DocumentReference", "type")(draft, scope)
    said = [(c["attachment"].get("hash"), c["attachment"].get("title")) for c in resource["content"]]
    about = digest(said, resource.get("date"), resource.get("context", {}).get("period"))
    return (key("DocumentReference:unnumbered", scope.sender, scope.subject(resource), code_text(resource.get("type")), about),)


def _binary(draft: Draft, scope: Scope) -> Keys:
    """Part of its document and known by its bytes: other bytes are another Binary, so that each version of a document leads to what it was."""
    owner = scope.owner.get(draft.full_url)
    base = identity.first(owner.keys) if owner else ""
    parts = (base, sha256(draft.resource["data"].encode()).hexdigest())
    return (key("Binary", *parts, scope.ordinal("Binary", *parts)),) if base else ()


def _numbered(kind: str, *described: str) -> Callable[[Draft, Scope], Keys]:
    """By identifiers; else by patient and the elements that describe it, within the sender."""

    def make(draft: Draft, scope: Scope) -> Keys:
        resource = draft.resource
        found = by_identifiers(kind, resource)
        return found or (key(kind, scope.sender, scope.subject(resource), digest([resource.get(name) for name in described])),)

    return make


def _encounter(draft: Draft, scope: Scope) -> Keys:
    """By visit numbers, the number of the pre-admission among them; else by patient, within the sender, and the beginning of the visit or, without
    one, its class: the end comes by a later message about the same visit."""
    resource = draft.resource
    before = resource.get("hospitalization", {}).get("preAdmissionIdentifier")
    found = by_identifiers("Encounter", {"identifier": [*resource.get("identifier", ()), *([before] if before else [])]})
    began = str(resource.get("period", {}).get("start", "")) or str(resource["class"].get("code", ""))
    return found or (key("Encounter", scope.sender, scope.subject(resource), began),)


def _claim_response(draft: Draft, scope: Scope) -> Keys:
    """By the payer's number, and by the question it answers: first pending, then granted, is one answer."""
    resource = draft.resource
    insurer, subject = scope.of(resource.get("insurer")), scope.subject(resource)
    number = resource.get("preAuthRef", "")
    asked = resource.get("request", {}).get("identifier")
    granted = (key("ClaimResponse", insurer, number, subject),) if number else ()
    if asked:
        parts = (scope.sender, identity.id_text(asked), subject)
        return (*granted, key("ClaimResponse:request", *parts, scope.ordinal("ClaimResponse", *parts)))
    return granted or (key("ClaimResponse", insurer, digest(resource.get("preAuthPeriod"), resource.get("created")), subject),)


def _claim(draft: Draft, scope: Scope) -> Keys:
    """By its numbers; else by patient and what is asked for, within the sender: changed or taken back, it is the same question."""
    resource = draft.resource
    asked = [code_text(item.get("productOrService")) for item in resource.get("item", ())]
    return by_identifiers("Claim", resource) or (key("Claim", scope.sender, scope.subject(resource), digest(asked)),)


def _eligibility(draft: Draft, scope: Scope) -> Keys:
    resource = draft.resource
    return (key("CoverageEligibilityRequest", scope.sender, scope.subject(resource), str(resource.get("created", ""))),)


def _appointment(draft: Draft, scope: Scope) -> Keys:
    found = by_identifiers("Appointment", draft.resource)
    return found or (key("Appointment", scope.sender, identity.first(scope.patient.keys), str(draft.resource.get("start", ""))),)


_MAKERS: Final[dict[str, Callable[[Draft, Scope], Keys]]] = {
    "Patient": _patient,
    "Practitioner": _practitioner,
    "Organization": _organization,
    "PractitionerRole": _role,
    "RelatedPerson": _related_person,
    "Account": _numbered("Account"),
    "Coverage": _coverage,
    "ServiceRequest": _service_request,
    "Encounter": _encounter,
    "Condition": _numbered("Condition", "code", "recordedDate"),
    "AllergyIntolerance": _numbered("AllergyIntolerance", "code"),
    "Procedure": _numbered("Procedure", "code", "performedDateTime"),
    "Goal": _numbered("Goal", "description", "startDate"),
    "Consent": _numbered("Consent", "category", "dateTime", "provision"),
    "Claim": _claim,
    "ClaimResponse": _claim_response,
    "CoverageEligibilityRequest": _eligibility,
    "DiagnosticReport": _report,
    "ImagingStudy": _numbered("ImagingStudy"),
    "Specimen": _specimen,
    "Observation": _within_report("Observation", "code"),
    "DocumentReference": _document,
    "Binary": _binary,
    "Appointment": _appointment,
}
# Owners before what belongs to them
_ORDER: Final = {name: number for number, name in enumerate(_MAKERS)}
