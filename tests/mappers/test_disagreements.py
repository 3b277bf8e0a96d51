"""What the table of disagreements says is what the mapper does."""

from __future__ import annotations

from typing import Any

import pytest

from mappers import v2
from mappers.v2.disagreements import DISAGREEMENTS, Disagreement
from tests.mappers.build import TABLES

HEAD = "MSH|^~\\&|A|NORTH|C|D|20260910080000-0500||{kind}|1|P|2.5.1\r"
PID = "PID|1||1^^^NORTH^MR||Ash^Ada||19700101|{sex}\r"
REFERRAL = HEAD.format(kind="REF^I12^REF_I12") + "RF1|{rf1}|||||R1^NORTH\rPRD|RP|Okafor^Daniel\r" + PID
RESULT = HEAD.format(kind="ORU^R01^ORU_R01") + PID.format(sex="F") + "ORC|{orc1}|O1^NORTH|F1^LAB\rOBR|1|O1^NORTH|F1^LAB|718-7^Hb^LN\r"
INSURED = "IN1|1|{plan}|C1^^^NAIC|Carrier||||||||||||Ash^Al|{relation}|||||||||||||||||||M1"
# Field → the message that says it and the value's place in it.
SENT = {
    "RF1-1": lambda value: REFERRAL.format(rf1=value, sex="F"),
    "ORC-1": lambda value: RESULT.format(orc1=value),
    "OBX-11": lambda value: RESULT.format(orc1="RE") + f"OBX|1|NM|718-7^Hb^LN||12||||||{value}",
    "PID-8": lambda value: REFERRAL.format(rf1="A", sex=value),
    "TXA-17": lambda value: HEAD.format(kind="MDM^T02^MDM_T02") + PID.format(sex="F") + f"TXA|1|CN|TX||||||||||D1^N|||||{value}\rOBX|1|TX|11488-4^Note^LN||Text||||||F",
    "IN1-2": lambda value: REFERRAL.format(rf1="A", sex="F") + INSURED.format(plan=value, relation=""),
    "IN1-17": lambda value: REFERRAL.format(rf1="A", sex="F") + INSURED.format(plan="P", relation=value),
    "MSH-9": lambda value: HEAD.format(kind=value) + "EVN|A04|20260910\r" + PID.format(sex="F") + "PV1|1|O|||||||||||||||||V1",
}  # fmt: skip


@pytest.mark.parametrize("row", DISAGREEMENTS, ids=lambda row: f"{row.field} {row.value}")
def test_each_decision_is_what_comes_out(row: Disagreement) -> None:
    mapped = v2.map_message(v2.read(SENT[row.field](row.value).encode()), TABLES, v2.Site())
    type, _, path = row.element.partition(".")
    found = [resource for draft in mapped.drafts if (resource := draft.resource)["resourceType"] == type]
    assert row.ours in [value for resource in found for value in read(resource, path)], found


def read(resource: Any, path: str) -> list[Any]:
    """The codes or values at a path; `class[plan]` is the item of that kind."""
    values: list[Any] = [resource]
    for step in path.split("."):
        name, _, kind = step.rstrip("]").partition("[")
        values = [one for value in values if name in value for one in (value[name] if isinstance(value[name], list) else [value[name]])]
        values = [one for one in values if not kind or one["type"]["coding"][0]["code"] == kind]
    return [coding["code"] for value in values if isinstance(value, dict) for coding in value.get("coding", ())] + [
        v for v in values if isinstance(v, str)
    ]
