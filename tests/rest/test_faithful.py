"""What was sent comes back: decimals, offsets, precision, extensions, unknown but legal content (ADR 0002)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fhir_gateway.validation import InvalidResourceError, decode, encode, validate
from fhir_gateway.validation.types import TYPES
from tests.rest.conftest import Api, running

EXACT = rb"""{"resourceType":"Observation","id":"exact","meta":{"profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-lab"],
"security":[{"system":"urn:x:y","code":"R"}]},"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">0.40 \u00e9\u2009\ud83d\ude00<\/div>"},
"extension":[{"url":"https://ehr.example/unknown","extension":[{"url":"a","valueDecimal":1.0},{"url":"b","valueDecimal":-0.0}]}],
"status":"final","code":{"text":"x","coding":[{"code":"718-7","system":"http://loinc.org","_display":{"extension":[{"url":"urn:x:y","valueString":"z"}]}}]},
"effectiveDateTime":"2026-03-01T10:00:00.120+05:30","_effectiveDateTime":{"id":"when"},"issued":"2026-03-01T10:00:00-00:00",
"valueQuantity":{"value":12.4000000000000000000001,"unit":" g/dL"},"referenceRange":[{"low":{"value":0.40},"high":{"value":1E+2}},{"low":{"value":100}}],
"note":[{"text":"one\r\n\ttwo "}]}"""


def content(raw: bytes) -> dict[str, Any]:
    """A resource without what the server may change: id, and version and time in meta."""
    resource = decode(raw)
    meta = {key: value for key, value in resource.pop("meta", {}).items() if key not in ("versionId", "lastUpdated")}
    resource.pop("id", None)
    return {**resource, "meta": meta} if meta else resource


def same(one: bytes, other: bytes) -> bool:
    """Equal in every digit and letter, whatever the order of keys."""

    def spelled(raw: bytes) -> Any:
        return json.loads(encode(content(raw)), parse_float=lambda digits: ("decimal", digits), parse_int=lambda digits: ("integer", digits))

    return bool(spelled(one) == spelled(other))


def test_every_digit_comes_back(either: Api) -> None:
    assert either.put("/fhir/Observation/exact", EXACT).status_code == 201
    read = either.get("/fhir/Observation/exact").content
    assert same(read, EXACT)
    for digits in (
        b'"value":12.4000000000000000000001',
        b'"value":0.40}',
        b'"valueDecimal":1.0}',
        b'"valueDecimal":-0.0}',
        b'"value":100}',
        b"+05:30",
        b"-00:00",
    ):
        assert digits in read, digits
    entry = {"resource": decode(EXACT), "request": {"method": "PUT", "url": "Observation/exact-too"}}
    entry["resource"]["id"] = "exact-too"
    assert either.sends(entry).status_code == 200
    assert same(either.get("/fhir/Observation/exact-too").content, EXACT)
    posted = either.post("/fhir/Observation", EXACT)
    assert same(posted.content, EXACT) and same(either.get(posted.headers["location"]).content, EXACT)


def test_the_same_content_in_other_words_is_another_version(either: Api) -> None:
    """0.40 says more than 0.4: the precision is the sender's."""
    body = b'{"resourceType":"Observation","id":"digits","status":"final","code":{"text":"x"},"valueQuantity":{"value":0.%s}}'
    assert either.put("/fhir/Observation/digits", body % b"4").status_code == 201
    assert either.put("/fhir/Observation/digits", body % b"40").headers["etag"] == 'W/"2"'
    assert either.put("/fhir/Observation/digits", body % b"40").headers["etag"] == 'W/"2"'


def test_tags_and_profiles_of_the_sender_stay_beside_the_servers_version(either: Api) -> None:
    body = {
        "resourceType": "Patient",
        "id": "meta",
        "meta": {"versionId": "77", "source": "urn:x:ehr", "tag": [{"code": "t"}], "profile": ["urn:x:p"]},
    }
    meta = decode(either.put("/fhir/Patient/meta", body).content)["meta"]
    assert (meta["versionId"], meta["source"], meta["tag"], meta["profile"]) == ("1", "urn:x:ehr", [{"code": "t"}], ["urn:x:p"])


CORPUS = os.environ.get("GATEWAY_CORPUS")


@pytest.fixture(scope="module")
def relaxed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """References of examples lead to examples nobody has here."""
    with running(f"sqlite:///{tmp_path_factory.mktemp('corpus')}/corpus.db", strict_references=False, message_bytes=20_000_000) as made:
        yield made


@pytest.mark.conformance
@pytest.mark.skipif(not CORPUS, reason="GATEWAY_CORPUS names no folder: the public R4 examples were not tried")
def test_public_examples_survive_a_round_trip(relaxed: Api) -> None:
    tried, held, judged = 0, 0, []
    for path in sorted(Path(str(CORPUS), "fhir").glob("*/*.json")):
        raw = path.read_bytes()
        try:
            resource = decode(raw)
        except InvalidResourceError as fault:
            judged.append(f"{path.name}: {fault}")
            continue
        kind = resource.get("resourceType")
        tried += 1
        if kind not in TYPES:
            continue
        given = {**resource, "id": f"e{tried}"}
        if issues := validate(given):
            judged.append(f"{path.parent.name}/{path.name}: {issues[0].expression} {issues[0].text}")
            continue
        response = relaxed.put(f"/fhir/{kind}/e{tried}", given)
        assert response.status_code == 201, (path.name, response.text)
        assert same(relaxed.get(f"/fhir/{kind}/e{tried}").content, raw), path.name
        held += 1
    print(f"{tried} read, {held} held and given back unchanged, {len(judged)} judged not legal")
    print("\n".join(judged))
    assert held > 0.9 * tried, judged
