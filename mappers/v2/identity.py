"""Identity keys: the names by which the store recognises a resource (ARCHITECTURE.md, identity keys).

One function per resource type; strongest key first. A key must not depend on MSH-10, so that the same content sent again is the same resource, and
must
not be weaker than what tells two real things apart: bare names count only within one sender, and for people within one patient.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, Final

from mappers.result import IdentityKey, Json

# Patient identifier types (table 0203) that name one person for good. Account and visit numbers (AN, VN) name an episode; a member number (MB) may be a family's.
STRONG: Final = {
    "MR": 0,
    "MRT": 0,
    "PI": 1,
    "U": 1,
    "PT": 1,
    "": 2,
    "EN": 3,
    "NI": 3,
    "NH": 3,
    "NIIP": 4,
    "HC": 4,
    "JHN": 4,
    "PN": 4,
    "SS": 5,
    "SB": 5,
    "PPN": 6,
    "DL": 6,
}
_SEPARATORS: Final = re.compile(r"[^a-z0-9]+")
MEMBER: Final = frozenset({"MB", "MC", "MA", "SN"})


def id_text(identifier: Json) -> str:
    return f"{identifier.get('system', '')}|{identifier['value']}"


def key(kind: str, *parts: str) -> IdentityKey:
    return IdentityKey(kind, "\t".join(parts))


def type_code(identifier: Json) -> str:
    """The table 0203 code of an identifier, "" when it has none."""
    codings = identifier.get("type", {}).get("coding", ())
    return str(codings[0]["code"]) if codings else ""


def folded(text: str) -> str:
    """A name for comparison: no accents, case, punctuation or spaces."""
    if text.isascii():
        return _SEPARATORS.sub("", text.lower())
    plain = unicodedata.normalize("NFKD", text)
    return "".join(c for c in plain.casefold() if c.isalnum())


def name_text(name: Json) -> str:
    return folded(name.get("family", "")) + "," + folded(" ".join(name.get("given", ())))


def digest(*parts: Any) -> str:
    return sha256(repr(parts).encode()).hexdigest()[:32]


def patient(resource: Json, sender: str) -> tuple[IdentityKey, ...]:
    """By each identifier that names a person; else by a member number with birth date and given name, since families share such numbers; else by all
    demographics from the same sender."""
    identifiers = [(type_code(i), i) for i in resource.get("identifier", ())]
    strong = sorted((STRONG[kind], id_text(i)) for kind, i in identifiers if kind in STRONG)
    keys = tuple(dict.fromkeys(key("Patient", text) for _, text in strong))
    if not keys and (born := resource.get("birthDate")) and (names := resource.get("name")):
        given = folded(" ".join(names[0].get("given", ())[:1]))
        keys = tuple(dict.fromkeys(key("Patient:MB", id_text(i), born, given) for kind, i in identifiers if kind in MEMBER))
    if keys or not (resource.get("name") and resource.get("birthDate")):
        return keys
    who = [name_text(n) for n in resource["name"]]
    return (
        key(
            "Patient:unidentified",
            sender,
            digest(who, resource["birthDate"], resource.get("gender"), resource.get("address"), resource.get("telecom")),
        ),
    )


def practitioner(resource: Json, sender: str, patient_key: str) -> tuple[IdentityKey, ...]:
    """By identifiers, the national provider number first; else by name within sender and patient."""
    return _by_numbers("Practitioner", resource) or _by_name("Practitioner", map(name_text, resource.get("name", ())), sender, patient_key)


def organization(resource: Json, sender: str) -> tuple[IdentityKey, ...]:
    """By identifiers; else by name within the sender."""
    return _by_numbers("Organization", resource) or _by_name("Organization", map(folded, filter(None, [resource.get("name")])), sender, "")


def _by_numbers(kind: str, resource: Json) -> tuple[IdentityKey, ...]:
    identifiers = resource.get("identifier", ())
    if len(identifiers) == 1:
        return (key(kind, id_text(identifiers[0])),)
    ranked = sorted(identifiers, key=lambda i: not i.get("system", "").endswith("us-npi"))
    return tuple(dict.fromkeys(key(kind, id_text(i)) for i in ranked))


def _by_name(kind: str, names: Iterable[str], sender: str, scope: str) -> tuple[IdentityKey, ...]:
    found = next((n for n in names if n.strip(",")), None)
    return () if found is None else (key(f"{kind}:name", sender, scope, found),)


def by_identifiers(kind: str, resource: Json, *suffix: str) -> tuple[IdentityKey, ...]:
    """One key per identifier; its type code becomes part of the kind (`ServiceRequest:PLAC`). suffix: what else must agree."""
    return tuple(
        dict.fromkeys(
            key(f"{kind}:{t}" if (t := type_code(i)) else kind, id_text(i), *suffix) for i in resource.get("identifier", ()) if i.get("value")
        )
    )


def first(keys: tuple[IdentityKey, ...]) -> str:
    """The strongest key's value, to scope the keys of what belongs to it; "" when there is none."""
    return keys[0].value if keys else ""


def code_text(concept: Json | None) -> str:
    """What tells two codes apart: the first coding, else the text."""
    if not concept:
        return ""
    for coding in concept.get("coding", ()):
        return f"{coding.get('system', '')}|{coding.get('code', coding.get('display', ''))}"
    return folded(concept.get("text", ""))
