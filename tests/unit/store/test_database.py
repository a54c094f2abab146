"""Opening the map's file: ours, new, or refused with a sentence that helps."""

import os
import sqlite3
import subprocess
import sys

import old_files
import pytest

from network_mapper.model import Edge, Node
from network_mapper.store import Database, StoreError
from network_mapper.store.database import Sequence
from network_mapper.store.ranges import read_range
from network_mapper.store.schema import HOUR, MINUTE


def test_a_new_file_gets_an_identity_that_stays(tmp_path):
    path = str(tmp_path / "map.db")
    first = Database(path)
    meta = first.meta()
    first.close()
    second = Database(path)
    assert second.meta() == meta
    assert len(meta["store"]) == 32
    assert meta["epoch"] == "1"
    second.close()


def test_two_files_have_two_identities(tmp_path):
    one, two = Database(str(tmp_path / "1.db")), Database(str(tmp_path / "2.db"))
    assert one.meta()["store"] != two.meta()["store"]
    one.close()
    two.close()


def test_somebody_elses_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE customers (name TEXT)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="is not a map of network-mapper"):
        Database(str(path))
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a database at all, " * 100)
    with pytest.raises(StoreError, match="is not a map of network-mapper"):
        Database(str(path))


def test_a_newer_schema_is_refused(tmp_path):
    path = str(tmp_path / "map.db")
    Database(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="newer version"):
        Database(path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(StoreError, match=rf"folder must exist and be writable by user {os.getuid()} \(--store\)"):
        Database(str(tmp_path / "missing" / "map.db"))


def test_a_read_only_file_is_refused_at_start(tmp_path):
    path = tmp_path / "map.db"
    Database(str(path)).close()
    uri = f"{path.as_uri()}?mode=ro"  # root may write any file, so the refusal comes from SQLite itself
    connection = sqlite3.connect(uri, uri=True)
    with pytest.raises(sqlite3.OperationalError) as refused:
        connection.execute("UPDATE meta SET value = value")
    connection.close()
    database = Database(str(path))
    assert "is read-only" in database.explain(refused.value)
    database.close()


def test_a_file_in_use_by_another_writer_is_named(tmp_path):
    path = str(tmp_path / "map.db")
    Database(path).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="in use by another mapper"):
        Database(path, timeout=0.05)
    other.close()


SPILLS = """
import os, sqlite3, sys
from network_mapper.store import keep_temporary_files_beside
keep_temporary_files_beside(sys.argv[1])
connection = sqlite3.connect(":memory:")
connection.execute("PRAGMA temp_store = FILE")
connection.execute("PRAGMA temp.cache_size = 10")
numbers = "WITH RECURSIVE n(x) AS (VALUES(1) UNION ALL SELECT x + 1 FROM n LIMIT 9999)"
connection.execute(f"CREATE TEMP TABLE large AS {numbers} SELECT x, randomblob(100) FROM n")
for descriptor in os.listdir("/proc/self/fd"):
    try:
        print(os.readlink("/proc/self/fd/" + descriptor))
    except OSError:
        pass
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into Linux's /proc")
def test_what_does_not_fit_into_memory_lies_beside_the_map(tmp_path):
    folder = tmp_path / "it's here"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", SPILLS, str(folder / "map.db")], capture_output=True, text=True, check=True
    )
    (temporary,) = [line for line in done.stdout.splitlines() if "etilqs" in line]
    assert temporary.startswith(str(folder))


HOUR_AGO = 470_000 * HOUR
NOW = HOUR_AGO + HOUR


@pytest.mark.parametrize("schema", [1, 2, 3])
def test_a_file_of_an_earlier_schema_is_brought_up_to_this_one(tmp_path, schema):
    path = str(tmp_path / "map.db")
    ends = {"client": '{"type":"node","name":"a"}', "server": '{"type":"node","name":"b"}', "service": None}
    old_files.make(
        path,
        schema,
        [
            old_files.insert(
                "edges", id=7, **ends, port=80, protocol="tcp", connections=8, first_seen=HOUR_AGO - 3, last_seen=NOW
            ),
            old_files.insert(
                "hours", start=HOUR_AGO, edge=7, connections=5, first_seen=HOUR_AGO - 3, last_seen=HOUR_AGO + 9
            ),
            old_files.insert("minutes", start=NOW, edge=7, connections=3, first_seen=NOW - 1, last_seen=NOW + 4),
            old_files.insert("sequences", node="n", boot="b", sequence=4, heard=5),
        ],
    )
    for _ in range(2):
        database = Database(path)
        assert database.meta()["epoch"] == "3"
        (stored,) = database.edges()
        expected = Edge(Node("a"), Node("b"), None, 80, "tcp", 8, first_seen=HOUR_AGO - 3, last_seen=NOW)
        assert stored == (7, expected)
        assert database.sequences() == [Sequence("n", "b", 4, 5, 0, 0)]
        assert (database.details(), database.ledger(), database.blind(), list(database.waiting())) == ({}, [], [], [])
        database.close()
    whole = read_range(path, HOUR_AGO, NOW + 1)
    assert whole.counts == {7: [8, 0, 0, 0, HOUR_AGO - 3, NOW + 4, 0, 0, 0]}
    # What is there by the hour is told by the hour, as it was counted; what came after it by the minute.
    first = read_range(path, HOUR_AGO + 2 * MINUTE, HOUR_AGO + 3 * MINUTE)
    assert first[:3] == (HOUR_AGO, NOW, {7: [5, 0, 0, 0, HOUR_AGO - 3, HOUR_AGO + 9, 0, 0, 0]})
    assert read_range(path, NOW + 1, NOW + 2)[:2] == (NOW, NOW + MINUTE)


@pytest.mark.parametrize("schema", [1, 2, 3])
def test_a_file_of_an_earlier_schema_gets_the_tables_and_columns_of_a_new_one(tmp_path, schema):
    old_files.make(str(tmp_path / "old.db"), schema)
    assert _columns(tmp_path / "old.db") == _columns(tmp_path / "new.db")


def _columns(path):
    database = Database(str(path))
    rows = database.connection.execute(
        """SELECT t.name, c.name, c.type, c."notnull", c.dflt_value, c.pk
        FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table'"""
    ).fetchall()
    database.close()
    return set(rows)
