"""Character sets and escapes: what was meant is read, what was declared wrongly is said, nothing unprintable comes out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappers import v2
from mappers.v2 import charset
from mappers.v2.escape import CONTROLS, decoder, encode
from tests.mappers.build import PID, TABLES, message, only

DECODE = decoder("|", "^", "~", "\\", "&", "", "utf-8")


def surname(raw: bytes) -> str:
    return v2.read(raw).segments[1].value(5)


def patient(name: str, msh18: str, codec: str) -> bytes:
    text = message(PID.replace("Doe", name), msh18=msh18)
    return text.decode().encode(codec)


@pytest.mark.parametrize(
    ("msh18", "codec", "name"),
    [
        ("8859/1", "iso8859-1", "Müller"),
        ("8859/2", "iso8859-2", "Dvořák"),
        ("8859/5", "iso8859-5", "Иванов"),
        ("8859/15", "iso8859-15", "Šœ€"),
        ("UNICODE UTF-8", "utf-8", "Dvořák"),
        ("~ISO IR87", "iso2022_jp", "山田"),
        ("GB 18030-2000", "gb18030", "王小明"),
        ("KS X 1001", "euc_kr", "김철수"),
    ],
)
def test_the_declared_set_is_used(msh18, codec, name):
    raw = patient(name, msh18, codec)
    assert surname(raw) == name
    assert v2.read(raw).findings == []


def test_utf8_under_a_latin_declaration_is_read_as_utf8_and_said():
    read = v2.read(patient("Müller", "8859/1", "utf-8"))
    assert read.segments[1].value(5) == "Müller"
    assert [(f.severity, str(f.where)) for f in read.findings] == [("warning", "MSH[1]-18")]


def test_latin_without_declaration_is_read_and_said():
    read = v2.read(patient("Müller", "", "cp1252"))
    assert read.segments[1].value(5) == "Müller"
    assert read.findings[0].code == "102"


def test_an_unknown_set_is_said():
    assert [f.code for f in v2.read(patient("Müller", "EBCDIC-DE", "utf-8")).findings] == ["103"]


def test_utf16_is_recognised_by_its_bytes():
    assert surname(patient("Dvořák", "UNICODE UTF-16", "utf-16")) == "Dvořák"


@given(st.binary(max_size=300))
def test_no_byte_is_ever_lost(raw):
    text, codec, _ = charset.decode(raw)
    assert text.encode(codec) in (raw, raw.removeprefix(b"\xef\xbb\xbf"), raw[2:])


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f", "a|b^c&d~e\\f"),
        ("10\\X6D6D\\", "10mm"),
        ("\\XC3BC\\ber", "über"),
        ("one\\.br\\two\\.BR\\three", "one\ntwo\nthree"),
        ("a\\.sp2\\b\\.in+4\\c", "a\n\nbc"),
        ("\\H\\bold\\N\\ plain", "bold plain"),
        ("\\\\server\\share\\x", "\\\\server\\share\\x"),
        ("\\Zloc\\ and \\.xx\\", "\\Zloc\\ and \\.xx\\"),
        ("ends with \\", "ends with \\"),
        ("\\E\\.br\\E\\", "\\.br\\"),
        ("\\X00\\\\X0D0A\\", "\n"),
    ],
)
def test_escapes_are_decoded_once(sent, meant):
    assert DECODE(sent) == meant


def test_an_iso2022_switch_is_followed():
    assert DECODE("\\M2442\\;3ED\\C2842\\") == "山田"


def test_a_decoded_delimiter_does_not_split():
    result = v2.map_message(v2.read(message(PID.replace("Doe", "Smith \\T\\ Sons"))), TABLES, v2.Site())
    assert only(result, "Patient")["name"][0]["family"] == "Smith & Sons"


@given(st.text(max_size=80))
def test_what_is_written_is_read_back(text):
    clean = CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    written = encode(text, field="|", component="^", repetition="~", escape="\\", subcomponent="&")
    assert not set("|^~&\r\n") & set(written)
    assert DECODE(written) == clean


@given(st.text(alphabet="\\XHN.brFSTE0A1DCM ", max_size=60))
def test_no_control_character_comes_out_of_an_escape(text):
    assert not CONTROLS.search(DECODE(text))
