"""Which checklists are in force: the clinic's active ones, and the shipped starter sets it has put nothing in place of.

A PlanDefinition is a checklist when it says so: its url is in our namespace, or it derives from our base list. Any other PlanDefinition is a
record like any other. Status `active` puts one in force, `draft` and `retired` do not; a shipped list needs no status, since it only stands in.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Final

import msgspec

from fhir_gateway.cases.choice import BASE
from fhir_gateway.cases.evidence import walk
from fhir_gateway.cases.model import Json
from profiles.canonical import canonical

NAMESPACE: Final = canonical("PlanDefinition", "")
BASE_URL: Final = canonical("PlanDefinition", BASE)
SEED_SYSTEM: Final = canonical("CodeSystem", "shipped-content")
"""meta.tag of a shipped list put into the store; its code is the digest of the content, so an edited copy is not taken for the shipped one."""

# What a new version label is not needed for: who holds it, and how far along it is (FHIR R4 PlanDefinition).
_ABOUT: Final = frozenset(
    {"id", "meta", "text", "status", "experimental", "date", "publisher", "contact", "approvalDate", "lastReviewDate", "effectivePeriod"}
)
_ENVELOPE: Final = frozenset({"id", "meta", "text"})


def is_checklist(plan: Json) -> bool:
    """Does this PlanDefinition claim to be one of our lists?"""
    return url_of(plan).startswith(NAMESPACE) or derived_from(plan) is not None


def url_of(plan: Json) -> str:
    """The canonical url without a version, "" when there is none."""
    return str(plan.get("url") or "")


def derived_from(plan: Json) -> str | None:
    """The list of ours this one derives from, `url` (the one in force) or `url|version` (that one for good); None when it stands alone."""
    for related in walk(plan, "relatedArtifact"):
        if isinstance(related, dict) and related.get("type") == "derived-from" and str(related.get("resource", "")).startswith(NAMESPACE):
            return str(related["resource"])
    return None


def in_force(shipped: Mapping[str, Json], held: Iterable[Json]) -> dict[str, Json]:
    """Name → plan, the clinic's own first so that they are chosen before a shipped one.

    shipped: by name, as the files have them. held: checklists as stored. A list with the url of a shipped one goes by its name, any other by its
    own id.
    """
    names = {plan["url"]: name for name, plan in shipped.items()}
    stored = sorted(held, key=lambda plan: str(plan.get("id")))
    own = {names.get(url_of(plan), str(plan.get("id"))): plan for plan in stored if plan.get("status") == "active" and not is_seed(plan)}
    seeds = {names[url_of(plan)]: plan for plan in stored if is_seed(plan) and url_of(plan) in names}
    return own | {name: plan for name, plan in (dict(shipped) | seeds).items() if name not in own}


def seeded(plan: Json) -> Json:
    """A shipped plan marked as such, as the store holds it."""
    return {**plan, "meta": {"tag": [{"system": SEED_SYSTEM, "code": _digest(plan, _ENVELOPE)}]}}


def is_seed(plan: Json) -> bool:
    """Is this a shipped list exactly as some version of this program shipped it?"""
    tags = [tag.get("code") for tag in walk(plan, "meta.tag") if isinstance(tag, dict) and tag.get("system") == SEED_SYSTEM]
    return bool(tags) and tags[0] == _digest(plan, _ENVELOPE)


def content_digest(plan: Json) -> str:
    """Equal for two plans that ask for the same records of the same patients under the same name and version."""
    return _digest(plan, _ABOUT)


def newer(one: str, other: str) -> bool:
    """Is version `one` later than `other`? Numbers compare as numbers: 1.10 comes after 1.9."""
    return _version_key(one) > _version_key(other)


def _version_key(version: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in version.split(".")]


def _digest(plan: Json, without: frozenset[str]) -> str:
    content = {name: value for name, value in plan.items() if name not in without}
    seen = sha256(_encode(content)).digest()
    if seen not in _digests:
        if len(_digests) >= _MOST_DIGESTS:
            _digests.clear()
        _digests[seen] = sha256(json.dumps(content, sort_keys=True, separators=(",", ":"), default=str).encode()).hexdigest()
    return _digests[seen]


# The names that are stored come from the standard library's JSON, which takes ten times as long as finding that a list is one of those seen before.
_encode: Final = msgspec.json.Encoder(decimal_format="number", order="sorted").encode
_digests: dict[bytes, str] = {}
_MOST_DIGESTS: Final = 4_096
