"""The names the gateway gives to its own artefacts.

A URN rather than a web address: nobody here owns a domain to promise, and a URN never resolves to somebody else's page.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

NAMESPACE: Final = "urn:second-opinion-gateway"


def canonical(kind: str, name: str) -> str:
    """`canonical("PlanDefinition", "breast")` → `urn:second-opinion-gateway:PlanDefinition:breast`."""
    return f"{NAMESPACE}:{kind}:{name}"


def sender_system(sender: str, namespace: str) -> str:
    """The identifier system of a namespace-only assigner (`^^^HOSP^MR`): the same for the same sender and namespace, different for another sender.

    sender: MSH-4 (or MSH-3) as `Header.sender`; namespace: HD.1, "" for an identifier with no assigner at all.
    """
    return f"{NAMESPACE}:sid:{quote(sender, safe='')}:{quote(namespace, safe='')}"
