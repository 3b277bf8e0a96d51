"""Garbage at the HTTP entrances: a clear 4xx in the entrance's own language, kept where the entrance keeps things, and never a 5xx."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_gateway.validation import decode
from tests import messages
from tests.databases import postgresql_url
from tests.rest.conftest import JSON, STAFF, Api, issues, places, running

V2 = "x-application/hl7-v2+er7"
PATIENT = b'{"resourceType":"Patient","name":[{"family":"Marlowe"}]}'


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An application with small limits."""
    limits = {"message_bytes": 200_000, "bundle_entries": 3}
    if request.param == "sqlite":
        with running(f"sqlite:///{tmp_path_factory.mktemp('bad')}/bad.db", **limits) as made:
            yield made
    else:
        with postgresql_url() as url, running(url, **limits) as made:
            yield made


UNREADABLE = {
    "empty": b"",
    "blank": b"   ",
    "cut short": PATIENT[:-2],
    "not JSON": b"<Patient/>",
    "a list": b"[" + PATIENT + b"]",
    "text": b'"Patient"',
    "two values": PATIENT + PATIENT,
    "duplicate key": b'{"resourceType":"Patient","gender":"male","gender":"female"}',
    "duplicate key inside": b'{"resourceType":"Patient","name":[{"family":"a","family":"b"}]}',
    "NaN": b'{"resourceType":"Patient","x":NaN}',
    "Infinity": b'{"resourceType":"Patient","x":-Infinity}',
    "not UTF-8": b'{"resourceType":"Patient","name":[{"family":"M\xfcller"}]}',
    "UTF-16": PATIENT.decode().encode("utf-16"),
    "half a character": rb'{"resourceType":"Patient","name":[{"family":"\ud800"}]}',
    "deep": b'{"resourceType":"Patient","extension":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "never closed": b"[" * 100_000,
    "number without end": b'{"resourceType":"Patient","x":' + b"9" * 10_000 + b"}",
    "number beyond measure": b'{"resourceType":"Patient","x":1e999999999999999999999}',
    "comment": b'{"resourceType":"Patient"/* x */}',
    "deep objects": b'{"resourceType":"Patient","extension":' * 2000 + b"1" + b"}" * 2000,
    "control character": b'{"resourceType":"Patient","name":[{"family":"a\nb"}]}',
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_can_t_be_read_is_refused_at_every_address_and_kept_as_a_bundle(small: Api, name: str) -> None:
    raw = UNREADABLE[name]
    before = len(small.inbox())
    for response in (small.post("/fhir/Patient", raw), small.put("/fhir/Patient/1", raw)):
        assert response.status_code == 400 and issues(response), response.text
    assert len(small.inbox()) == before, "a single write does not pass the inbox"
    assert small.post("/fhir", raw).status_code == 400
    line = small.inbox("refused")[0]
    with small.gateway.store.snapshot(STAFF) as tx:
        entry = tx.inbox.get(line.id)
    assert entry is not None and entry.raw == raw


ILLEGAL = {
    "unknown type": ({"resourceType": "Patent"}, "resourceType"),
    "no type": ({"name": [{"family": "x"}]}, "resourceType"),
    "type of another kind": ({"resourceType": 5}, "resourceType"),
    "unknown element": ({"resourceType": "Patient", "nickname": "x"}, "Patient.nickname"),
    "NUL in a name": ({"resourceType": "Patient", "name": [{"family": "a\x00b"}]}, "Patient.name[0].family"),
    "long id": ({"resourceType": "Patient", "id": "x" * 65}, "Patient.id"),
    "odd id": ({"resourceType": "Patient", "id": "a/b"}, "Patient.id"),
}


@pytest.mark.parametrize("name", ILLEGAL)
def test_what_is_not_legal_is_refused_with_its_place(small: Api, name: str) -> None:
    resource, place = ILLEGAL[name]
    response = small.post("/fhir/Patient", json.dumps(resource).encode())
    assert response.status_code == 422 and places(response) == [place]


def test_a_byte_order_mark_is_no_fault(small: Api) -> None:
    assert small.post("/fhir/Patient", b"\xef\xbb\xbf" + PATIENT).status_code == 201


@pytest.mark.parametrize("path", ["/fhir", "/fhir/Patient", "/hl7v2", "/fhir/Patient/_search"])
def test_a_body_over_the_limit_is_refused_and_its_beginning_kept(small: Api, path: str) -> None:
    raw = (b"MSH|^~\\&|EHR|A|B|C|20260101||ORU^R01|BIG|P|2.5.1\r" if path == "/hl7v2" else b"{") + b" " * 300_000
    kinds = {"/hl7v2": V2, "/fhir/Patient/_search": "application/x-www-form-urlencoded"}
    response = small.ask("POST", path, raw, content_type=kinds.get(path, JSON))
    assert response.status_code == 413
    assert b"MSA|AR|BIG" in response.content if path == "/hl7v2" else issues(response)[0]["code"] == "too-long"
    line = small.inbox("refused")[0]
    assert (line.size, line.content_hash) == (len(raw), hashlib.sha256(raw).hexdigest())
    with small.gateway.store.snapshot(STAFF) as tx:
        entry = tx.inbox.get(line.id)
    assert entry is not None and entry.raw == raw[: 64 * 1024]


def test_a_body_far_over_the_limit_is_not_read_to_its_end(small: Api) -> None:
    raw = b"x" * 2_000_000
    assert small.post("/fhir", raw).status_code == 413
    line = small.inbox("refused")[0]
    assert 800_000 < line.size <= len(raw)


def test_a_bundle_of_too_many_entries_is_refused_and_kept(small: Api) -> None:
    entry = {"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}}
    for kind in ("transaction", "batch"):
        response = small.sends(*[entry] * 4, kind=kind)
        assert response.status_code == 413 and places(response) == ["Bundle.entry"]
        assert small.inbox("refused")[0].message_type == f"Bundle/{kind}"


@pytest.mark.parametrize(
    ("headers", "status"), [({"content_type": "text/plain"}, 415), ({"accept": "application/fhir+xml"}, 406), ({"content_encoding": "gzip"}, 415)]
)
def test_a_bundle_in_the_wrong_format_is_kept_all_the_same(small: Api, headers: dict[str, str], status: int) -> None:
    raw = b"<Bundle>" + str(headers).encode() + b"</Bundle>"
    assert small.post("/fhir", raw, **headers).status_code == status
    with small.gateway.store.snapshot(STAFF) as tx:
        entry = tx.inbox.get(small.inbox("refused")[0].id)
    assert entry is not None and entry.raw == raw


ODD = ["a_b", "..%2f..", "%00", "%ff", "a%20b", "x" * 65, "$match", "%F0%9F%98%80", "-", "%0a", "'--", "a%3Fb", "{id}"]


@pytest.mark.parametrize("id", ODD)
def test_an_id_of_odd_characters_names_nothing(small: Api, id: str) -> None:
    body = b'{"resourceType":"Patient","id":"a_b"}'
    for path in (f"/fhir/Patient/{id}", f"/fhir/Patient/{id}/_history/1", f"/fhir/Binary/{id}", f"/fhir/ServiceRequest/{id}/$completeness"):
        response = small.get(path)
        assert response.status_code == 404 and issues(response), path
    assert small.put(f"/fhir/Patient/{id}", body).status_code in (400, 404, 405, 422)
    assert small.delete(f"/fhir/Patient/{id}").status_code in (204, 404, 405)


@pytest.mark.parametrize(
    "query",
    ["%00", "identifier=%00", "identifier=%ff|%fe", "_id=%00", "name=%F0%9F%98%80", "=", "&&&", "=x", "_count=%D9%A1", "_cursor=%00", "_lastUpdated=9999",
     "_lastUpdated=gt9999-12-31T23:59:59%2B14:00", "_lastUpdated=lt0001", "family=" + "x" * 5000, "identifier=" + "|" * 50, "identifier=" + ",".join("abc" * 300),
     "patient=%00", "general-practitioner=x", "_sort=", "identifier:" + "not=" * 9, "a" * 3000, "_id=" + ",".join(map(str, range(2000)))],
)  # fmt: skip
def test_a_query_string_of_garbage_is_answered(small: Api, query: str) -> None:
    response = small.get(f"/fhir/Patient?{query}")
    assert response.status_code in (200, 400), response.text
    assert decode(response.content)["resourceType"] == ("Bundle" if response.status_code == 200 else "OperationOutcome")


# HL7 v2 over HTTP


@pytest.mark.parametrize("kind", ["x-application/hl7-v2+er7", "application/hl7-v2", "application/hl7-v2+er7; charset=utf-8", "text/plain", ""])
def test_a_message_is_acknowledged_in_its_own_type(small: Api, kind: str) -> None:
    response = small.ask("POST", "/hl7v2", messages.referral(mrn="CT-1"), **({"content_type": kind} if kind else {"content_type": V2}))
    assert response.status_code == 200 and b"MSA|AA|" in response.content
    told = response.headers["content-type"].partition(";")[0]
    assert told == (kind.partition(";")[0] if "hl7" in kind else V2)


@pytest.mark.parametrize(
    ("raw", "code"),
    [(b"garbage", b"AR"), (b"MSH|^~\\&|", b"AR"), (b"\x00\xff" * 50, b"AR"), (b"MSH|^~\\&|A|B|C|D|20260101||XYZ^Z99|1|P|2.5.1\r", b"AR"),
     (b"MSH|^~\\&|A|B|C|D|20260101||REF^I12|1|P|2.5.1\rRF1|A\r", b"AE"), (PATIENT, b"AR")],
)  # fmt: skip
def test_what_is_no_good_message_gets_its_refusal_as_an_acknowledgement(small: Api, raw: bytes, code: bytes) -> None:
    response = small.ask("POST", "/hl7v2", raw, content_type=V2)
    assert response.status_code == 200 and response.content.startswith(b"MSH|")
    assert b"MSA|" + code in response.content and b"\rERR|" in response.content, response.content


def test_what_is_not_offered_as_a_message_is_told_so_and_kept(small: Api) -> None:
    assert small.ask("POST", "/hl7v2", b"", content_type=V2).status_code == 400
    assert small.ask("POST", "/hl7v2", b"\r\n", content_type=V2).status_code == 400
    before = len(small.inbox("refused"))
    for headers in ({"content_type": "application/json"}, {"content_type": V2, "content_encoding": "gzip"}):
        response = small.ask("POST", "/hl7v2", b"MSH|packed or not", **headers)
        assert response.status_code == 415 and response.json()["error"] == "not-supported"
    assert len(small.inbox("refused")) == before + 2
    assert small.get("/hl7v2").status_code == 405


# Whatever comes

words = st.sampled_from(
    [
        "Patient",
        "Task",
        "Bundle",
        "Binary",
        "ServiceRequest",
        "_history",
        "_search",
        "$completeness",
        "$validate",
        "1",
        "metadata",
        "a_b",
        "",
        "é",
        "%00",
        "..",
        ".well-known",
    ]
)
keys = st.sampled_from(
    ["resourceType", "id", "meta", "identifier", "name", "entry", "type", "request", "method", "url", "fullUrl", "resource", "reference", "subject", "contained",
     "extension",
     "text", "div", "status", "code", "system", "value", "ifNoneExist", "ifMatch", "focus", "parameter", "basedOn", "_birthDate", "versionId", "period", "start", "end"]
)  # fmt: skip
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6)
    | st.sampled_from(["Patient", "Bundle", "transaction", "batch", "POST", "PUT", "DELETE", "GET", "Patient/1", "Patient?identifier=x|y", "urn:uuid:1", "#x",
                       'W/"1"', "active"])
)  # fmt: skip
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5), max_leaves=14)
resources = st.fixed_dictionaries(
    {"resourceType": st.sampled_from(["Patient", "Task", "ServiceRequest", "Bundle", "Parameters", "Observation"])}
).flatmap(lambda base: st.dictionaries(keys, values, max_size=6).map(lambda more: {**more, **base}))
requests = st.fixed_dictionaries(
    {},
    optional={"method": st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "?"]), "url": st.sampled_from(
        ["Patient", "Patient/1", "Patient?identifier=x|y", "Patient?", "Task/1", "", "/", "x/y/z/w", "Patient/1/_history/1", "Patent", "?", "http://clinic.test/fhir/Patient/1"]
    ), "ifNoneExist": st.sampled_from(["identifier=x|y", "?", "_id=1", "nickname=x"]), "ifMatch": st.sampled_from(['W/"1"', "x", ""])},
)  # fmt: skip
entries = st.fixed_dictionaries({}, optional={"request": requests | leaves, "resource": resources | leaves, "fullUrl": leaves})
bundles = st.fixed_dictionaries(
    {"resourceType": st.just("Bundle"), "type": st.sampled_from(["transaction", "batch"])},
    optional={"entry": st.lists(entries, max_size=3) | leaves, "identifier": values},
)
bodies = st.binary(max_size=60) | (resources | bundles | values).map(lambda value: json.dumps(value).encode())
TYPES = st.sampled_from([JSON, "application/json", "text/xml", "application/x-www-form-urlencoded", V2, "", "x/x; charset=latin1"])


def answered(response: httpx.Response) -> None:
    assert response.status_code < 500, (response.request.url, response.text)
    assert b"Traceback" not in response.content
    if response.status_code >= 400 and response.request.url.path.startswith("/fhir/") and response.request.method != "HEAD":
        assert issues(response)


@settings(max_examples=100)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "BREW"]),
    path=st.lists(words, max_size=5),
    body=bodies,
    kind=TYPES,
)
def test_no_request_whatever_gets_a_server_error(small: Api, method: str, path: list[str], body: bytes, kind: str) -> None:
    answered(small.ask(method, "/fhir/" + "/".join(path), body, content_type=kind))


@settings(max_examples=100)
@given(body=bundles)
def test_no_bundle_whatever_gets_a_server_error(small: Api, body: dict[str, Any]) -> None:
    response = small.post("/fhir", json.dumps(body).encode())
    answered(response)
    if response.status_code == 200:
        statuses = [entry["response"]["status"] for entry in decode(response.content).get("entry", ())]
        assert all(status[0] in "24" for status in statuses), response.text
    assert not [line for line in small.inbox("failed") if line.findings and "could not be worked on" in line.findings[0]["text"]]


@settings(max_examples=70)
@given(type=st.sampled_from(["Patient", "ServiceRequest", "Task", "Bundle", "Binary"]), pairs=st.lists(st.tuples(
    st.sampled_from(["identifier", "_id", "_lastUpdated", "_count", "_cursor", "_sort", "_summary", "_total", "patient", "status", "code", "subject", "name", "x"])
    | st.text(max_size=5),
    st.text(max_size=8) | st.sampled_from(["2026", "gt2026-02-30", "a|b", "|", ",", "\\", "Patient/1", "count", "-_id", "0", "1" * 40]),
), max_size=4))  # fmt: skip
def test_no_search_whatever_gets_a_server_error(small: Api, type: str, pairs: list[tuple[str, str]]) -> None:
    answered(small.get(f"/fhir/{type}?{urlencode(pairs, errors='replace')}"))


pointers = st.sampled_from(
    ["", "/", "/active", "/name/0", "/name/-", "/name/99/family", "/id", "/resourceType", "/meta/versionId", "/~2", "name", "/a" * 300]
)
verbs = st.sampled_from(["add", "remove", "replace", "move", "copy", "test"])
operations = st.lists(
    st.dictionaries(st.sampled_from(["op", "path", "from", "value"]), values | pointers | verbs)
    | st.fixed_dictionaries({"op": verbs, "path": pointers}, optional={"from": pointers, "value": values}),
    max_size=4,
)
PATCHES = st.sampled_from(["application/json-patch+json", "application/merge-patch+json", "application/json", "application/fhir+json", ""])


@settings(max_examples=100)
@given(
    patch=operations | resources | values | st.dictionaries(keys, values, max_size=4),
    kind=PATCHES,
    where=st.sampled_from(["/patched", "?_id=patched"]),
)
def test_no_patch_whatever_gets_a_server_error(small: Api, patch: Any, kind: str, where: str) -> None:
    small.put("/fhir/Patient/patched", {"resourceType": "Patient", "id": "patched", "name": [{"family": "Marlowe"}]})
    answered(small.ask("PATCH", f"/fhir/Patient{where}", json.dumps(patch).encode(), content_type=kind))
    held = small.get("/fhir/Patient/patched")
    assert held.status_code == 200 and decode(held.content)["id"] == "patched", "whatever was done to it, it is a Patient still, under its own id"


SEARCHED = st.sampled_from(
    ["", "/Patient", "/Observation", "/ServiceRequest", "/_history", "/Patient/_history", "/Patient/1/_history", "/Patient/1/Observation"]
)
ASKED = st.lists(
    st.sampled_from(["_include", "_revinclude", "_include:iterate", "_sort", "_cursor", "_since", "_at", "_list", "_type", "_elements", "_summary",
                     "name:exact", "name:contains:exact", "identifier:of-type", "identifier:not", "code:text", "birthdate:missing", "gender:in",
                     "subject:Patient.name", "subject.subject.subject", "subject:Patent.name", "organization.partof.name", "patient:identifier",
                     "_has:Observation:patient:code", "_has:Observation:patient:_has:Task:focus:status", "_has:", "_has:a:b", "_has:Observation:code:code"])
    | st.text(max_size=5), min_size=1, max_size=3,
).flatmap(lambda names: st.tuples(*(st.tuples(st.just(name), st.text(max_size=8) | st.sampled_from([
    "*", "Observation:subject", "Patient:organization:Organization", ":", "::", "a|b|c", "true", "maybe", "ge2026-13", "2026-02-30T25:00", "-name,-,", "Patient",
    "Patient,Patent", "1e9999", "5.4|http://unitsofmeasure.org|mg", "MTIz", "eyJ4IjoxfQ==", "\\", "$", "\x00", "9" * 400])) for name in names)))  # fmt: skip


@settings(max_examples=150)
@given(
    path=st.sampled_from(
        ["/Patient", "/Observation", "/ServiceRequest", "", "/_history", "/Patient/_history", "/Patient/1/_history", "/Patient/1/Observation"]
    ),
    pairs=ASKED,
)
def test_no_modifier_chain_include_or_cursor_whatever_gets_a_server_error(small: Api, path: str, pairs: tuple[tuple[str, str], ...]) -> None:
    answered(small.get(f"/fhir{path}?{urlencode(pairs, errors='replace')}"))


@settings(max_examples=60)
@given(
    data=st.binary(max_size=60),
    kind=st.sampled_from(
        ["application/pdf", "image/jpeg", "text/html", "*/*", "x", "/", ";", 'a/b; charset="x', "multipart/form-data", "application/fhir+json"]
    )
    | st.text(alphabet='abc/;=+ "', max_size=12),
    context=st.sampled_from(["", "Patient/1", "Patent/1", "x y", "urn:uuid:1", "/", "http://other.test/fhir/Patient/1"]),
    accept=st.sampled_from(["", "*/*", "application/pdf", "application/fhir+json", ";;", "text/html;q=0"]),
)
def test_no_upload_whatever_gets_a_server_error(small: Api, data: bytes, kind: str, context: str, accept: str) -> None:
    response = small.ask("POST", "/fhir/Binary", data, content_type=kind, **({"x_security_context": context} if context else {}))
    answered(response)
    if response.status_code == 201:
        down = small.get(f"/fhir/Binary/{decode(response.content)['id']}", accept=accept)
        answered(down)


@settings(max_examples=70)
@given(
    raw=st.binary(max_size=80)
    | st.text(alphabet="MSH|^~\\&\rPID1ORUEVNREF\x0b\x1c", max_size=80).map(lambda text: ("MSH|^~\\&|A|B|C|D|2026||" + text).encode())
)
def test_no_message_whatever_gets_a_server_error(small: Api, raw: bytes) -> None:
    answered(small.ask("POST", "/hl7v2", raw, content_type=V2))
