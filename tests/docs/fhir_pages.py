"""The requests and answers in the pages for each role, made by sending them with curl (`python -m tests.docs.fhir_pages`); a test sends them again."""

from __future__ import annotations

import re
import subprocess
import tempfile
from typing import Final

from tests.docs.generate import DOCS
from tests.server import Server

ROOT: Final = DOCS.parent
SENT: Final = "-d @fixtures/fhir/referral.json -H 'Content-Type: application/fhir+json'"
ORDER: Final = "identifier=urn:oid:2.16.840.1.113883.19.5.1.9|REF-2026-0900"
_JSON: Final = "-H 'Content-Type: application/fhir+json'"
_PATIENT: Final = '{"resourceType": "Patient", "id": "ines", "name": [{"family": "Marlowe"}], "birthDate": "1961-03-02"}'
_COVERAGE: Final = (
    '{"resourceType": "Coverage", "id": "plan", "status": "active", "subscriberId": "M-554321", "beneficiary": {"reference": "Patient/ines"},'
    ' "period": {"start": "2026-01-01"}, "payor": [{"display": "Example Managed Care"}]}'
)
_QUESTION: Final = (
    '{"resourceType": "CoverageEligibilityRequest", "status": "active", "purpose": ["benefits", "auth-requirements"], "created": "2026-09-10",'
    ' "servicedDate": "2026-10-01", "patient": {"reference": "Patient/ines"}, "insurer": {"display": "Example Managed Care"},'
    ' "insurance": [{"coverage": {"reference": "Coverage/plan"}}]}'
)
PAGES: Final = {
    "referrer.md": (
        f"curl -s {SENT} -H 'Prefer: return=minimal' 'BASE?_pretty=true'",
        f"curl -s -G --data-urlencode '{ORDER}' -d _elements=status,subject -d _pretty=true BASE/ServiceRequest",
        'curl -s \'BASE/ServiceRequest/{order}/$completeness\' | grep -oE \'"(status|moduleCanonical)":"[^"]*"\'',
        """curl -s -d '{"resourceType": "Patient", "gender": "F", "birthDate": "1961-13-02"}' -H 'Content-Type: application/fhir+json'"""
        " 'BASE/Patient?_pretty=true'",
    ),
    "clinic.md": (
        f"curl -s {SENT} -o /dev/null -w '%{{http_code}}\\n' BASE",
        "curl -s 'BASE/Task?focus=ServiceRequest/{order}&_elements=status,businessStatus&_pretty=true'",
        "curl -s 'BASE/Patient/{patient}/Condition?_summary=count&_pretty=true'",
        'curl -s -X PATCH -d \'[{"op": "add", "path": "/active", "value": true}]\' -H \'Content-Type: application/json-patch+json\' -H \'If-Match: W/"1"\''
        " -H 'Prefer: return=minimal' -i BASE/Patient/{patient} | grep -iE '^(HTTP|etag|location)'",
        'curl -s -X PUT -d \'{"resourceType": "Patient", "id": "{patient}"}\' -H \'Content-Type: application/fhir+json\' -H \'If-Match: W/"1"\''
        " 'BASE/Patient/{patient}?_pretty=true'",
    ),
    "payer.md": (
        f"curl -s -X PUT -d '{_PATIENT}' {_JSON} -o /dev/null -w '%{{http_code}}\\n' BASE/Patient/ines",
        f"curl -s -X PUT -d '{_COVERAGE}' {_JSON} -o /dev/null -w '%{{http_code}}\\n' BASE/Coverage/plan",
        f"curl -s -d '{_QUESTION}' {_JSON} 'BASE/CoverageEligibilityRequest/$submit?_pretty=true'",
        "curl -s 'BASE/CoverageEligibilityResponse?patient=ines&_elements=outcome,request&_pretty=true'",
        f"curl -s -d '{_QUESTION.replace('benefits', 'benefit').replace('09-10', '09-31')}' {_JSON} 'BASE/CoverageEligibilityRequest/$submit?_pretty=true'",
    ),
    "engineer.md": (
        f"curl -s {SENT} -o /dev/null -w '%{{http_code}}\\n' BASE",
        "curl -s BASE/.well-known/smart-configuration",
        "curl -s 'BASE/Patient?birth-date=1961-03-02&_pretty=true'",
        "curl -s -G --data-urlencode 'subject:Patient.identifier=urn:oid:2.16.840.1.113883.19.5.1|MRN-900' -d _summary=count BASE/ServiceRequest",
        "curl -s --data-binary @docs/case.svg -H 'Content-Type: image/svg+xml' -H 'Prefer: return=minimal' -o /dev/null -w '%{http_code}\\n' BASE/Binary",
        "curl -s -X DELETE -w '%{http_code}\\n' BASE/Condition/{condition}",
        "curl -s 'BASE/Condition/{condition}?_pretty=true'",
    ),
}
"""Page → commands, in order, each page against a server of its own. {order}, {patient}, {condition}: ids of what the referral made."""
BLOCK: Final = re.compile(r"<!-- fhir: made by `python -m tests.docs.fhir_pages` -->.*?<!-- /fhir -->", re.DOTALL)
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")


def block(page: str) -> str:
    """What a page shows, sent just now. Ids and moments, which differ each time, are written alike each time."""
    lines: list[str] = []
    ids: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder, Server(f"sqlite:///{folder}/docs.db") as server:
        base = f"{server.base}/fhir"
        for command in PAGES[page]:
            sent = command.replace("BASE", base)
            for name, type in (("order", "ServiceRequest"), ("patient", "Patient"), ("condition", "Condition")):
                if f"{{{name}}}" in sent:
                    ids[name] = ids.get(name) or _newest(base, type)  # asked before it may be deleted
                    sent = sent.replace(f"{{{name}}}", ids[name])
            lines += [f"$ {sent}", *_run(sent).splitlines()]
        text = "\n".join(line.rstrip() for line in lines).replace(base, "http://127.0.0.1:8080/fhir")
    return f"<!-- fhir: made by `python -m tests.docs.fhir_pages` -->\n```\n{_alike(text)}\n```\n<!-- /fhir -->"


def _newest(base: str, type: str) -> str:
    found = _run(f"curl -s '{base}/{type}?_elements=id&_sort=-_lastUpdated&_count=1'")
    return re.findall(r'"fullUrl":"[^"]*/([^"/]+)"', found)[0]


def _run(command: str) -> str:
    return subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout.replace("\r", "")


def _alike(text: str) -> str:
    known: dict[str, str] = {}
    for found in _UUID.findall(text):
        known.setdefault(found, f"{len(known) + 1:08x}-0000-7000-8000-000000000000")
    return _INSTANT.sub("2026-09-01T12:00:00Z", _UUID.sub(lambda match: known[match[0]], text))


def main() -> None:
    """Write the blocks into their pages."""
    for page in PAGES:
        path = DOCS / page
        made = block(page)
        path.write_text(BLOCK.sub(lambda _, made=made: made, path.read_text(encoding="utf-8")), encoding="utf-8")
        print(f"docs/{page}")


if __name__ == "__main__":
    main()
