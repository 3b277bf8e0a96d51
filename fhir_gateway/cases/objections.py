"""Why a checklist may not be saved: it does not compile, its version label is used for something else, or another list is for the same patients.

Every fault is a ChecklistError with the item and the element at fault, in words that say what to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from fhir_gateway.cases.checklist import ChecklistError, canonical_of, faults_of
from fhir_gateway.cases.choice import BASE, focus, overlap
from fhir_gateway.cases.evidence import walk
from fhir_gateway.cases.facts import ICD10, SNOMED
from fhir_gateway.cases.inforce import BASE_URL, content_digest, derived_from, is_seed, url_of
from fhir_gateway.cases.model import Code, Json

# ICD-10 and ICD-10-CM: a category, or a code below it, with or without its dot.
CATEGORY: Final = re.compile(r"[A-Z]\d[0-9A-Z](\.?[0-9A-Z]{1,4})?", re.IGNORECASE)


def objections(plan: Json, base: Json | None, lists: Mapping[str, Json], others: Iterable[Json], versions: Iterable[Json]) -> list[ChecklistError]:
    """Everything that speaks against saving `plan`; empty when nothing does.

    base: the list it derives from, None for a list of its own. lists: name → plan, as they would be in force with this plan saved. others: the
    checklists stored under other ids. versions: everything ever held under its url.
    """
    found = [*_labels(plan, versions), *_derivation(plan, base)]
    if plan.get("status") != "retired":
        found += faults_of(plan, base)
    if plan.get("status") == "active":
        found += [*_alone(plan, others), *_foci(plan, others)]
    return found or list(_followers(plan, lists))


def shape_faults(codes: Iterable[Code]) -> Iterator[str]:
    """A sentence for each code no diagnosis could ever match."""
    for system, code in sorted(codes):
        if system in ICD10 and not CATEGORY.fullmatch(code):
            yield f"{code} is no ICD-10 category; give each category on its own (C50), it covers the codes below it"
        elif system not in ICD10 and system != SNOMED:
            yield f"{code} is of {system or 'no system'}; a focus is an ICD-10, ICD-10-CM or SNOMED CT code"


def _labels(plan: Json, versions: Iterable[Json]) -> Iterator[ChecklistError]:
    """A case names the list it was judged by as url|version, so one label must mean one content for good."""
    try:
        label, content = canonical_of(plan), content_digest(plan)
    except ChecklistError as fault:
        yield fault
        return
    for earlier in versions:
        if f"{url_of(earlier)}|{earlier.get('version')}" == label and content_digest(earlier) != content:
            yield ChecklistError(
                "", "version", f"{plan['version']} is the version of another content of this list; give the changed list a new version"
            )
            return


def _derivation(plan: Json, base: Json | None) -> Iterator[ChecklistError]:
    wanted = derived_from(plan)
    if wanted is None:
        return
    if url_of(plan) == BASE_URL or wanted.partition("|")[0] != BASE_URL:
        yield ChecklistError("", "relatedArtifact.resource", f"names {wanted}; a checklist derives from {BASE_URL} or from nothing")
    elif base is None:
        yield ChecklistError(
            "", "relatedArtifact.resource", f"names {wanted}, which is not held; leave the version out to follow the base list in force"
        )


def _alone(plan: Json, others: Iterable[Json]) -> Iterator[ChecklistError]:
    for other in others:
        if other.get("status") == "active" and not is_seed(other) and url_of(other) == url_of(plan):
            text = f"PlanDefinition/{other.get('id')} is active under this url; write to that one, or set its status to retired first"
            yield ChecklistError("", "url", text)


def _foci(plan: Json, others: Iterable[Json]) -> Iterator[ChecklistError]:
    if url_of(plan) == BASE_URL:
        return
    codes = focus(plan)
    if not codes:
        yield ChecklistError("", "useContext", "names no focus: say for which diagnoses the list is (code focus, valueCodeableConcept)")
    for text in shape_faults(codes):
        yield ChecklistError("", "useContext", text)
    for other in others:
        if other.get("status") != "active" or is_seed(other) or url_of(other) in (url_of(plan), BASE_URL):
            continue
        shared = overlap(codes, focus(other))
        if shared:
            text = f"{shared[0][1]} is also in the focus of PlanDefinition/{other.get('id')} ({shared[1][1]}), which is active"
            yield ChecklistError("", "useContext", f"{text}; a diagnosis calls for one list")


def _followers(plan: Json, lists: Mapping[str, Json]) -> Iterator[ChecklistError]:
    """A base list that is saved, or retired, must leave the lists that follow it whole."""
    if url_of(plan) != BASE_URL:
        return
    for name, follower in lists.items():
        if name != BASE and BASE_URL in walk(follower, "relatedArtifact.resource"):
            for fault in faults_of(follower, lists[BASE])[:1]:
                yield ChecklistError("", "action", f"with this base the list {name} no longer compiles: {fault}")
