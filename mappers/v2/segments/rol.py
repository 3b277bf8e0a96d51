"""ROL → PractitionerRole: the patient's general practitioner, a participant of the visit, or somebody with a part in what the segment before it made.

Guide: ROL[Patient-GeneralPractitioner], ROL[Encounter-PractitionerRole]; ROL[CareTeam] would make a team of one, so other roles stand as PRT's do.
"""

from __future__ import annotations

from typing import Final

from mappers.result import Draft, Json
from mappers.v2.context import Context, reference
from mappers.v2.datatypes.codes import coded, cwe
from mappers.v2.datatypes.ids import ei
from mappers.v2.datatypes.parties import pl, xcn, xon
from mappers.v2.datatypes.people import xtn_work
from mappers.v2.datatypes.times import dtm
from mappers.v2.message import Segment
from mappers.v2.table import field, keep, segment, target
from profiles.canonical import canonical

PARTICIPATION: Final = canonical("StructureDefinition", "participation")
PRIMARY: Final = "PP"  # table 0443: primary care provider

ROL = segment(
    "ROL",
    target(
        "PractitionerRole",
        field("ROL-1", "identifier[]", ei()),  # row 3
        field("ROL-3", "code[]", coded("0443")),  # row 5
        field("ROL-4", "practitioner", xcn),  # row 6
        field("ROL-5", "period.start", dtm),  # row 7
        field("ROL-6", "period.end", dtm),  # row 8
        field("ROL-9", "specialty[]", cwe),  # guide: ROL[CareTeam] row 13 says role
        field("ROL-12", "telecom[]", xtn_work),  # row 17
        field("ROL-13", "location[]", pl),  # row 18
        field("ROL-14", "organization", xon),  # row 19
    ),
    keep("ROL-2", why="action on the role: `DE` ends it, see `role`"),
    keep("ROL-11", why="whether the address is the person's or the practice's depends on its kind (rows 13-16)"),
)


def role(segment_: Segment, home: Draft, ctx: Context) -> None:
    """One ROL, and where it counts: Patient.generalPractitioner, Encounter.participant, else an extension that names it."""
    draft = ctx.add(ctx.new("PractitionerRole"))
    ROL.map(segment_, ctx, PractitionerRole=draft)
    draft.merge = "enrich"
    resource = draft.resource
    if segment_.value(2) in ("D", "DE"):
        resource["active"] = False
    elif home.resource["resourceType"] == "Patient" and segment_.value(3) == PRIMARY:
        home.resource.setdefault("generalPractitioner", []).append(reference(draft))
    elif home.resource["resourceType"] == "Encounter":
        participant: Json = {"type": [dict(c) for c in resource["code"]]} if "code" in resource else {}
        home.resource.setdefault("participant", []).append({**participant, "individual": reference(draft)})
    else:
        home.resource.setdefault("extension", []).append({"url": PARTICIPATION, "valueReference": reference(draft)})
