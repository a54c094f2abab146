"""Opening the map's file: ours, new, or refused with a sentence that helps."""

import sqlite3

import pytest

from network_mapper.store import Database, StoreError


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
    with pytest.raises(StoreError, match="folder must exist"):
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
    assert "is read-only" in database._explain(refused.value)
    database.close()


def test_a_file_in_use_by_another_writer_is_named(tmp_path):
    path = str(tmp_path / "map.db")
    Database(path).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="in use by another mapper"):
        Database(path, timeout=0.05)
    other.close()
