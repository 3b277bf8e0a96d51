"""ZDS → ImagingStudy: the study's UID, without which images and report can't be matched.

IHE RAD TF-2, 4.4.4.1.2.2: ZDS-1 is an RP whose pointer is the Study Instance UID.
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

_UID: Final = re.compile(r"[0-2](\.(0|[1-9]\d*))+")


@takes(1, 3, 4)
def study_uid(repetition: Repetition, ctx: Context) -> Json | None:
    """The UID as R4 says an ImagingStudy carries it."""
    uid = part(repetition, 1)
    if not _UID.fullmatch(uid) or len(uid) > 64:
        ctx.find("102", "not a DICOM UID", 1)
        return None
    return {"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}


ZDS = segment("ZDS", target("ImagingStudy", field("ZDS-1", "identifier[]", study_uid)))


def imaging_study(node: Node, ctx: Context, accession: Json | None) -> Draft:
    """The ImagingStudy of a ZDS. accession: the filler's order number, type ACSN."""
    draft = ctx.new("ImagingStudy", status="available", subject=reference(ctx.patient))
    ZDS.map(node.segment, ctx, ImagingStudy=draft)
    if accession:
        draft.resource.setdefault("identifier", []).append(accession)
    return ctx.add(draft)
