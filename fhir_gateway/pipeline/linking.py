"""Which resource each reference inside a transaction means. R4 http.html#trules, bundle.html#references.

A reference may name another entry (its fullUrl, a relative address read beside the referring entry's own fullUrl, or the id the sender gave it), a
resource held here (relative, absolute under our own address, or by a condition), or something on another server, which is kept as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qsl

from fhir_gateway.errors import GatewayError, InvalidError
from fhir_gateway.pipeline import conditions
from fhir_gateway.pipeline.entries import Entry
from fhir_gateway.pipeline.identity import identifiers
from fhir_gateway.pipeline.references import references
from fhir_gateway.store import Transaction
from fhir_gateway.store.search.references import local
from fhir_gateway.validation import Issue, shapes

Json = dict[str, Any]
Resolve = Callable[[str], str | None]

_ADDRESSES: Final = frozenset({"definitionUri", "endpoint", "instantiatesUri", "policy", "protocol", "source", "uri", "url", "valueUri", "valueUrl"})
"""Elements of type uri or url. Those of type oid and uuid stay: `Type/id` would not be legal in them."""
_LINKS = re.compile(r"""(\s(?:href|src)\s*=\s*)(["'])(urn:[^"'\s]+)\2""")
_ELSEWHERE: Final = ("http:", "https:", "urn:")
_REST = re.compile(r"(https?://.+)/([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}")


def link(tx: Transaction, entries: list[Entry], base: str) -> None:
    """Replace references between entries, conditional ones, and absolute ones under `base` by `Type/id`. Raises InvalidError naming all that dangle."""
    addresses, made = _addresses(entries), {f"{entry.type}/{entry.id}" for entry in entries if entry.new}
    issues: list[Issue] = []
    for entry in entries:
        if entry.resource is None:
            continue
        resolve = _resolver(entry, addresses, made, base)
        for path, text in references(entry.resource, f"{entry.path}.resource"):
            if resolve(text) is not None:
                continue
            if "?" in text and not text.startswith(_ELSEWHERE):
                _conditional(tx, text, path, entries, addresses, issues)
            elif text.startswith("urn:"):
                issues.append(Issue("error", "not-found", "The reference names no entry of this Bundle", path))
        entry.resource = linked(entry.resource, resolve)
    if issues:
        raise InvalidError(issues[0].text, issues=issues)


def _addresses(entries: list[Entry]) -> dict[str, str]:
    """Every address by which one entry may name another → `Type/id`. A fullUrl outranks what is read out of one, and that the sender's own ids."""
    writing = [(entry, f"{entry.type}/{entry.id}") for entry in entries if entry.method in ("POST", "PUT")]
    addresses = {entry.full_url: target for entry, target in writing if entry.full_url}
    for entry, target in writing:
        if _REST.fullmatch(entry.full_url):
            addresses.setdefault("/".join(entry.full_url.split("/")[-2:]), target)
    for entry, target in writing:
        own = (entry.resource or {}).get("id")
        if own:
            addresses.setdefault(f"{entry.type}/{own}", target)
    return addresses


def _resolver(entry: Entry, addresses: dict[str, str], made: set[str], base: str) -> Resolve:
    """bundle.html#references: a relative reference is read under the server part of the fullUrl of the entry it stands in.

    One to a version of an entry is to the version written now (http.html#trules): the first of what is made here, of what was there the one that stands.
    """
    match = _REST.fullmatch(entry.full_url)
    root = match[1] if match else None

    def entry_at(text: str) -> str | None:
        return (addresses.get(f"{root}/{text}") if root is not None else None) or addresses.get(text)

    def resolve(text: str) -> str | None:
        found = entry_at(text)
        if found is None and "/_history/" in text and (found := entry_at(text.partition("/_history/")[0])) in made:
            found = f"{found}/_history/1"
        return found or ours(text, base)

    return resolve


def ours(text: str, base: str) -> str | None:
    """`Type/id` for an absolute reference under our own address; None for any other."""
    if base and text.startswith(f"{base}/"):
        relative = text[len(base) + 1 :]
        if local(relative) is not None:
            return relative
    return None


def linked(value: Any, resolve: Resolve) -> Any:
    """A copy in which references, and `urn:` addresses in elements of type uri and url and in links of the narrative (http.html#trules), are replaced where
    they resolve; other parts are shared with the original.

    Absolute addresses in url elements stay: a canonical url is a name, whatever the fullUrl of its entry.
    """
    if isinstance(value, dict):
        made: Json | None = None
        for key, item in value.items():
            changed = item
            if isinstance(item, str):
                if key == "reference" or (key in _ADDRESSES and item.startswith("urn:")):
                    changed = resolve(item) or item
                elif key == "div" and "urn:" in item:
                    changed = _relinked(item, resolve)
            elif key in _ADDRESSES and isinstance(item, list):
                changed = _each(item, resolve)
            elif isinstance(item, (dict, list)):
                changed = linked(item, resolve)
            if changed is not item:
                made = dict(value) if made is None else made
                made[key] = changed
        return value if made is None else made
    if isinstance(value, list):
        items = [linked(item, resolve) if isinstance(item, (dict, list)) else item for item in value]
        return value if all(a is b for a, b in zip(items, value, strict=True)) else items
    return value


def _each(addresses: list[Any], resolve: Resolve) -> list[Any]:
    items = [(resolve(item) or item) if isinstance(item, str) and item.startswith("urn:") else linked(item, resolve) for item in addresses]
    return addresses if all(a is b for a, b in zip(items, addresses, strict=True)) else items


def _relinked(div: str, resolve: Resolve) -> str:
    """The narrative with links that name an entry leading to what it became."""
    return _LINKS.sub(lambda link: f"{link[1]}{link[2]}{resolve(link[3]) or link[3]}{link[2]}", div)


def _conditional(tx: Transaction, text: str, path: str, entries: list[Entry], addresses: dict[str, str], issues: list[Issue]) -> None:
    """`Patient?identifier=…` → the one match in the store, or else in the Bundle itself."""
    type, _, query = text.partition("?")
    if not shapes.known(type):
        issues.append(Issue("error", "not-supported", f"'{type[:64]}' is not a resource type of FHIR R4 known here", path))
        return
    try:
        found = conditions.match(tx, conditions.read(type, query))
    except GatewayError as fault:
        issues.append(Issue("error", fault.issue, fault.text, path))
        return
    named = (
        [found.reference] if found else sorted({f"{type}/{e.id}" for e in entries if e.type == type and e.resource and _carries(e.resource, query)})
    )
    if len(named) == 1:
        addresses[text] = named[0]
    else:
        issues.append(Issue("error", "multiple-matches" if named else "not-found", "The conditional reference must match exactly one resource", path))


def _carries(resource: Json, query: str) -> bool:
    """Does a resource of the same Bundle hold the identifier asked for?"""
    pairs = parse_qsl(query)
    held = identifiers(resource)
    return bool(pairs) and all(name == "identifier" and any(_is(i, value) for i in held) for name, value in pairs)


def _is(identifier: Json, wanted: str) -> bool:
    system, bar, value = wanted.rpartition("|")
    return identifier.get("value") == value and (not bar or identifier.get("system", "") == system)
