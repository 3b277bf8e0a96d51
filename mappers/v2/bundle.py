"""A mapped message as a FHIR transaction Bundle, for whoever wants FHIR without our store (guide: MSH[Bundle] rows 10-14)."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from mappers.result import Draft, Json, Mapped
from mappers.v2.context import RAW_MESSAGE
from mappers.v2.datatypes.times import moment
from mappers.v2.identity import id_text
from profiles.canonical import sender_system

CONTROL_ID: Final = "message-control-id"


def bundle(mapped: Mapped) -> Json:
    """A transaction Bundle: every entry is created unless its identifier is known; the Provenance names the raw message by its SHA-256."""
    header = mapped.header
    out: Json = {"resourceType": "Bundle", "type": "transaction"}
    if header.control_id:
        out["identifier"] = {"system": sender_system(header.sender, CONTROL_ID), "value": header.control_id}
    sent = moment(header.sent_at, None)
    if sent is not None and sent.exact:
        out["timestamp"] = sent.text
    out["entry"] = [_entry(draft, mapped.digest) for draft in mapped.drafts]
    return out


def _entry(draft: Draft, digest: str) -> Json:
    resource = draft.resource
    kind = resource["resourceType"]
    request: Json = {"method": "POST", "url": kind}
    known = {k.value for k in draft.keys}
    for identifier in resource.get("identifier", ()) if isinstance(resource.get("identifier"), list) else ():
        if id_text(identifier) in known:
            request["ifNoneExist"] = "identifier=" + quote(id_text(identifier), safe="|:/.")
            break
    if kind == "Provenance":
        resource = {**resource, "entity": [_named(entity, digest) for entity in resource["entity"]]}
    return {"fullUrl": draft.full_url, "resource": resource, "request": request}


def _named(entity: Any, digest: str) -> Any:
    """The kept message as logical reference, since nobody here keeps it under an address."""
    if entity["what"].get("reference") != RAW_MESSAGE:
        return entity
    return {**entity, "what": {"identifier": {"system": RAW_MESSAGE, "value": digest}}}
