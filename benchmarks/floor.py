"""The least a FHIR server can do: parse, validate with fhir.resources, commit as many rows as ours would. Search values are not extracted, nothing is checked
further, no one is authorised. `FLOOR_DATABASE` names its SQLite file.
"""

from __future__ import annotations

import json
import os
import sqlite3
import uuid
from typing import Any

from fastapi import FastAPI, Request, Response
from fhir.resources.R4B import get_fhir_model_class

from fhir_gateway.store.search.index import SearchIndex

app = FastAPI()
_db = sqlite3.connect(os.environ["FLOOR_DATABASE"], check_same_thread=False, isolation_level=None)
_db.executescript(
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
    "CREATE TABLE resource (id TEXT PRIMARY KEY, type TEXT, body BLOB);"
    "CREATE TABLE token (resource TEXT, n INTEGER, param TEXT, code TEXT, PRIMARY KEY (resource, n)) WITHOUT ROWID;"
    "CREATE INDEX token_code ON token (param, code);"
    "CREATE TABLE audit (n INTEGER PRIMARY KEY, action TEXT, type TEXT, id TEXT);"
)
_rows: dict[str, int] = {}


def _keep(resource: dict[str, Any]) -> dict[str, Any]:
    type = resource["resourceType"]
    get_fhir_model_class(type).model_validate(resource)
    resource["id"] = id = str(uuid.uuid4())
    if type not in _rows:
        _rows[type] = sum(len(rows) for rows in SearchIndex.load().rows(resource, 1).values())
    _db.execute("INSERT INTO resource VALUES (?, ?, ?)", (id, type, json.dumps(resource)))
    _db.executemany("INSERT INTO token VALUES (?, ?, ?, ?)", [(id, n, f"{type}.p{n}", id) for n in range(_rows[type])])
    _db.execute("INSERT INTO audit (action, type, id) VALUES ('create', ?, ?)", (type, id))
    return resource


@app.post("/fhir/{type}")
async def create(type: str, request: Request) -> Response:
    """One resource, one commit."""
    given = json.loads(await request.body())
    _db.execute("BEGIN IMMEDIATE")
    body = json.dumps(_keep(given))
    _db.execute("COMMIT")
    return Response(body, 201, {"Location": f"{type}/{given['id']}/_history/1"}, "application/fhir+json")


@app.post("/fhir")
async def transaction(request: Request) -> Response:
    """Every entry a create, one commit."""
    given = json.loads(await request.body())
    _db.execute("BEGIN IMMEDIATE")
    made = [_keep(entry["resource"]) for entry in given["entry"]]
    _db.execute("COMMIT")
    entries = [{"response": {"status": "201", "location": f"{one['resourceType']}/{one['id']}/_history/1"}} for one in made]
    return Response(json.dumps({"resourceType": "Bundle", "type": "transaction-response", "entry": entries}), 200, None, "application/fhir+json")


@app.get("/fhir/{type}/{id}")
async def read(type: str, id: str) -> Response:
    """The body as kept."""
    (body,) = _db.execute("SELECT body FROM resource WHERE id = ?", (id,)).fetchone()
    return Response(body, 200, None, "application/fhir+json")
