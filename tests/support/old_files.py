"""Files as earlier versions made them, by the statements of those versions."""

import sqlite3

_FIRST = "connections, attempts, lookups, sockets, first_seen, last_seen"
_ADDED = "requests, bytes, flows"


def _columns(names):
    return ", ".join(f"{name.strip()} INTEGER NOT NULL DEFAULT 0" for name in names.split(","))


def make(path, schema, rows=()):
    """Make a file of an earlier schema and run statements on it."""
    counts = _columns(_FIRST if schema == 1 else f"{_FIRST}, {_ADDED}")
    bucket = f"start INTEGER NOT NULL, edge INTEGER NOT NULL, {counts}, PRIMARY KEY (start, edge)"
    statements = [
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        f"""CREATE TABLE edges (id INTEGER PRIMARY KEY, client TEXT NOT NULL, server TEXT NOT NULL, service TEXT,
            port INTEGER NOT NULL, protocol TEXT NOT NULL, {counts})""",
        f"CREATE TABLE minutes ({bucket}) WITHOUT ROWID",
        f"CREATE TABLE hours ({bucket}) WITHOUT ROWID",
        """CREATE TABLE samples (edge INTEGER NOT NULL, seen INTEGER NOT NULL, node TEXT NOT NULL, kind TEXT NOT NULL,
            client TEXT NOT NULL, server TEXT NOT NULL, port INTEGER NOT NULL, answered_by TEXT NOT NULL,
            PRIMARY KEY (edge, client, server, answered_by)) WITHOUT ROWID""",
        """CREATE TABLE sequences (node TEXT NOT NULL, boot TEXT NOT NULL, sequence INTEGER NOT NULL,
            heard INTEGER NOT NULL, PRIMARY KEY (node, boot)) WITHOUT ROWID""",
        "CREATE TABLE journal (id INTEGER PRIMARY KEY, received INTEGER NOT NULL, body BLOB NOT NULL)",
    ]
    if schema >= 2:
        statements.append(
            """CREATE TABLE details (edge INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
            PRIMARY KEY (edge, name, value)) WITHOUT ROWID"""
        )
    if schema >= 3:
        statements.append(
            "CREATE TABLE waiting (id INTEGER PRIMARY KEY, received INTEGER NOT NULL, body BLOB NOT NULL)"
        )
    statements += [
        "INSERT INTO meta VALUES ('store', 'abc'), ('epoch', '3'), ('reset_at', '0')",
        f"PRAGMA application_id = {0x6E6D6170}",
        f"PRAGMA user_version = {schema}",
        *rows,
    ]
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def insert(table, **values):
    """A statement that inserts a row; what is not given is 0."""
    marks = ", ".join("NULL" if value is None else repr(value) for value in values.values())
    return f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})"  # noqa: S608  our own names
