"""Opening the map's file: ours, new, or refused with a sentence that helps."""

import os
import sqlite3
import subprocess
import sys

import pytest

from network_mapper.model import Edge, Node
from network_mapper.store import Database, StoreError
from network_mapper.store.database import counts_between


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


def test_a_file_of_the_first_schema_is_brought_up_to_this_one(tmp_path):
    path = str(tmp_path / "map.db")
    connection = sqlite3.connect(path)
    counts = ", ".join(f"{name} INTEGER NOT NULL" for name in FIRST_COUNTS)
    connection.executescript(f"""
        CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
        CREATE TABLE edges (id INTEGER PRIMARY KEY, client TEXT NOT NULL, server TEXT NOT NULL, service TEXT,
            port INTEGER NOT NULL, protocol TEXT NOT NULL, {counts});
        CREATE TABLE minutes (start INTEGER NOT NULL, edge INTEGER NOT NULL, {counts}, PRIMARY KEY (start, edge));
        CREATE TABLE hours (start INTEGER NOT NULL, edge INTEGER NOT NULL, {counts}, PRIMARY KEY (start, edge));
        CREATE TABLE samples (edge INTEGER NOT NULL);
        CREATE TABLE sequences (node TEXT NOT NULL, boot TEXT NOT NULL, sequence INTEGER NOT NULL, heard INTEGER);
        CREATE TABLE journal (id INTEGER PRIMARY KEY, received INTEGER NOT NULL, body BLOB NOT NULL);
        INSERT INTO meta VALUES ('store', 'abc'), ('epoch', '3'), ('reset_at', '0');
        INSERT INTO edges VALUES (7, '{{"type":"node","name":"a"}}', '{{"type":"node","name":"b"}}', NULL, 80, 'tcp',
            5, 1, 0, 2, 100, 200);
        INSERT INTO minutes VALUES (0, 7, 5, 1, 0, 2, 100, 200);
        PRAGMA application_id = {0x6E6D6170};
        PRAGMA user_version = 1;
    """)  # noqa: S608  our own names
    connection.close()
    for _ in range(2):
        database = Database(path)
        assert database.meta()["epoch"] == "3"
        (stored,) = database.edges()
        assert stored == (7, Edge(Node("a"), Node("b"), None, 80, "tcp", 5, 1, 0, 2, 100, 200))
        assert database.details() == {}
        database.close()
    assert counts_between(path, 0, 1) == {7: (5, 1, 0, 2, 100, 200, 0, 0, 0)}


FIRST_COUNTS = ("connections", "attempts", "lookups", "sockets", "first_seen", "last_seen")
