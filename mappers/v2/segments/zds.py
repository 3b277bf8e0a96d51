"""ZDS → ImagingStudy: the study's UID, without which images and report can't be matched.

IHE RAD TF-2, 4.4.4.1.2.2: ZDS-1 is an RP whose pointer is the Study Instance UID. A report may name its study in an OBX as well, of code 113014 of DICOM
(PS3.16 annex D, "DICOM Study").
"""

from __future__ import annotations

import re
from typing import Final

from mappers.result import Draft, Json
from mappers.v2.context import Context, reference
from mappers.v2.datatypes.text import part
from mappers.v2.groups import Node
from mappers.v2.message import Repetition
from mappers.v2.table import field, segment, takes, target

STUDY: Final = "113014"
_UID: Final = re.compile(r"[0-2](\.(0|[1-9]\d*))+")


@takes(1, 3, 4)
def study_uid(repetition: Repetition, ctx: Context) -> Json | None:
    """The UID as R4 says an ImagingStudy carries it."""
    found = _identifier(part(repetition, 1))
    if found is None:
        ctx.find("102", "not a DICOM UID", 1)
    return found


def _identifier(uid: str) -> Json | None:
    return {"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"} if _UID.fullmatch(uid) and len(uid) <= 64 else None


ZDS = segment("ZDS", target("ImagingStudy", field("ZDS-1", "identifier[]", study_uid)))


def imaging_study(node: Node, ctx: Context, accession: Json | None) -> Draft:
    """The ImagingStudy of a ZDS. accession: the filler's order number, type ACSN."""
    draft = ctx.new("ImagingStudy", status="available", subject=reference(ctx.patient))
    ZDS.map(node.segment, ctx, ImagingStudy=draft)
    if accession:
        draft.resource.setdefault("identifier", []).append(accession)
    return ctx.add(draft)


def named_studies(nodes: list[Node], held: list[Draft], ctx: Context) -> list[Draft]:
    """The studies that OBX name, which stay the Observations they are. held: drafts of the same report; a study among them is not made again."""
    known = {i["value"] for d in held if d.resource["resourceType"] == "ImagingStudy" for i in d.resource.get("identifier", ())}
    made: list[Draft] = []
    for node in nodes:
        found = _identifier(node.segment.value(5)) if node.segment.value(3) == STUDY else None
        if found and found["value"] not in known:
            known.add(found["value"])
            made.append(ctx.add(ctx.new("ImagingStudy", status="available", subject=reference(ctx.patient), identifier=[found])))
    return made
