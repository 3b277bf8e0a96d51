"""Which segment belongs to which: a tree built by nearest predecessor, so that wrong order, missing ORC or OBX after SPM still land in the right
place.

The standard's own group structures refuse such messages or lose segments in them; here no segment can fall out: what has no parent hangs on the root.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from mappers.v2.message import Message, Segment

# A segment's parent is the nearest preceding segment among these; without one it stands at the root.
PARENTS: Final = {
    "PD1": ("PID",),
    "NK1": ("PID",),
    "MRG": ("PID",),
    "PV2": ("PV1",),
    "CTD": ("PRD", "OBR", "PID"),  # provider contact in REF (11.6.4), order contact in ORU
    "IN2": ("IN1",),  # pairs with the IN1 before it (6.5.7)
    "IN3": ("IN1",),
    "AUT": ("RF1", "PR1"),  # AUTCTR/PROCEDURE groups of REF_I12
    "OBR": ("ORC",),  # only the first OBR after an ORC: see `tree`
    "TQ1": ("ORC", "OBR", "SCH"),
    "ROL": ("PID", "PV1", "PR1", "IN1", "PRB", "GOL"),  # also when PD1, ARV, DB1 stand between
    "SPM": ("OBR",),
    "OBX": ("ORC", "OBR"),  # also when SPM stands between: senders put results there
    "ZDS": ("ORC", "OBR"),
    "AIS": ("RGS",),
    "AIG": ("RGS",),
    "AIL": ("RGS",),
    "AIP": ("RGS",),
}
FOLLOWERS: Final = frozenset({"NTE", "PRT"})  # belong to the segment before them, whatever it is
_OUTLIVES_PATIENT: Final = frozenset({"RF1", "PRD"})


@dataclass(slots=True)
class Node:
    """A segment with what belongs to it. specimen: the SPM an OBX follows inside its order."""

    segment: Segment
    children: list[Node] = field(default_factory=list)
    specimen: Node | None = None

    def of(self, *names: str) -> list[Node]:
        """Children of these names, in message order."""
        return [c for c in self.children if c.segment.name in names]


def tree(message: Message, parents: Mapping[str, tuple[str, ...]] = PARENTS) -> Node:
    """The message as a tree under its MSH. parents: who may be whose, for structures that differ from the common table."""
    root = Node(message.segments[0])
    last = root
    nearest: dict[str, Node] = {"MSH": root}
    for segment in message.segments[1:]:
        node = Node(segment)
        name = segment.name
        if name in FOLLOWERS:
            last.children.append(node)
            continue
        _parent(parents.get(name, ()), name, nearest, root).children.append(node)
        if name == "PID":
            nearest = {k: v for k, v in nearest.items() if k in _OUTLIVES_PATIENT}
        elif name == "ORC":
            nearest.pop("OBR", None)
        if name in ("ORC", "OBR"):
            nearest.pop("SPM", None)
        elif name == "OBX":
            node.specimen = nearest.get("SPM")
        nearest[name] = last = node
    return root


def _parent(parents: tuple[str, ...], name: str, nearest: dict[str, Node], root: Node) -> Node:
    candidates = [nearest[p] for p in parents if p in nearest]
    if not candidates:
        return root
    found = max(candidates, key=lambda n: n.segment.index)
    if name == "OBR" and found.of("OBR"):
        return root  # one OBR per ORC: a further one starts an order of its own
    return found


def orders(root: Node) -> Iterator[tuple[Node | None, Node | None]]:
    """(ORC, OBR) of every order; either may be missing."""
    for node in root.children:
        if node.segment.name == "ORC":
            found = node.of("OBR")
            yield node, found[0] if found else None
        elif node.segment.name == "OBR":
            yield None, node
