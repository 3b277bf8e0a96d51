"""Messages for tests: segments as a sender would write them, mapped in one call."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from mappers import v2
from mappers.result import Draft, Finding, Mapped
from profiles import conceptmaps

TABLES = conceptmaps.load()
CLINIC = ZoneInfo("America/New_York")
PID = "PID|1||M1^^^HOSP&2.16.840.1.113883.19.5.1&ISO^MR||Doe^Ann||19700101|F"


def message(
    *segments: str, event: str = "ORU^R01", sender: str = "HOSP", control_id: str = "C1", at: str = "20260901120000-0400", msh18: str = ""
) -> bytes:
    """The bytes of a message: an MSH, then the segments."""
    kind = event.replace("^", "^") + ("^" + event.replace("^", "_") if event != "ACK" else "")
    msh = f"MSH|^~\\&|APP|{sender}|GATEWAY|CLINIC|{at}||{kind}|{control_id}|P|2.8" + (f"||||||{msh18}" if msh18 else "")
    return "\r".join((msh, *segments, "")).encode()


def mapped(*segments: str, site: v2.Site | None = None, **about: str) -> Mapped:
    """A message of these segments, mapped without a time zone unless a site says otherwise."""
    return v2.map_message(v2.read(message(*segments, **about)), TABLES, site or v2.Site())


def drafts(result: Mapped, resource_type: str) -> list[Draft]:
    return [d for d in result.drafts if d.resource["resourceType"] == resource_type]


def resources(result: Mapped, resource_type: str) -> list[dict[str, Any]]:
    return [d.resource for d in drafts(result, resource_type)]


def only(result: Mapped, resource_type: str) -> dict[str, Any]:
    """The one resource of that type; fails when there are more or none."""
    found = resources(result, resource_type)
    assert len(found) == 1, f"{len(found)} {resource_type}"
    return found[0]


def observation(value_type: str, value: str, **fields: str) -> Mapped:
    """An ORU with one OBX holding this value."""
    obx = {1: "1", 2: value_type, 3: "718-7^Hemoglobin^LN", 5: value, 11: "F", **{int(k.removeprefix("f")): v for k, v in fields.items()}}
    line = "OBX" + "".join("|" + obx.get(n, "") for n in range(1, max(obx) + 1))
    return mapped(PID, "OBR|1||F1^LAB|58410-2^CBC^LN|||20260901||||||||||||||||||F", line)


def warnings(result: Mapped) -> list[Finding]:
    return [f for f in result.findings if f.severity != "information"]


def kept_values(resource: Any) -> dict[str, str]:
    """Every value kept in a v2-field extension anywhere in the resource, by its place."""
    found: dict[str, str] = {}
    if isinstance(resource, dict):
        if resource.get("url") == v2.V2_FIELD:
            inner = {e["url"]: e["valueString"] for e in resource["extension"]}
            found[inner["field"]] = inner["value"]
        else:
            for value in resource.values():
                found |= kept_values(value)
    elif isinstance(resource, list):
        for value in resource:
            found |= kept_values(value)
    return found
