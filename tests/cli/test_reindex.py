"""Search rows lost or out of date come back, with a server's data in place."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.cli.test_commands import run
from tests.cli.test_paperwork import ASKS, INES


def test_reindex_brings_search_and_record_rows_back(tmp_path: Path) -> None:
    url, path = f"sqlite:///{tmp_path}/desk.db", tmp_path / "desk.db"
    run("db", "upgrade", database_url=url)
    run("case", "open", *INES, *ASKS, database_url=url)
    run("case", "answer", "P-1", "surgery-done", "no", database_url=url)
    kinds = ("search_token", "search_string", "search_reference", "search_date", "record")

    def rows() -> dict[str, int]:
        with closing(sqlite3.connect(path)) as connection:
            return {kind: connection.execute(f"SELECT count(*) FROM {kind}").fetchone()[0] for kind in kinds}

    before = rows()
    with closing(sqlite3.connect(path)) as connection:
        for kind in (*kinds, "record_link"):
            connection.execute(f"DELETE FROM {kind}")
        connection.commit()
    done = run("reindex", database_url=url)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) >= 5 and b"resources reindexed" in done.stdout
    assert rows() == before and before["record"] > 0
    again = json.loads(run("case", "answer", "P-1", "hospitalised", "no", "--json", database_url=url).stdout)
    states = {item["id"]: item["state"] for item in again["items"]}
    assert (states["operative-note"], states["discharge-summary"]) == ("not-applicable", "not-applicable")


def test_reindex_without_a_database_says_what_to_do(tmp_path: Path) -> None:
    done = run("reindex", database_url=f"sqlite:///{tmp_path}/none.db")
    assert done.returncode == 1 and b"db upgrade" in done.stderr
