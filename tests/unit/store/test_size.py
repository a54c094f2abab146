"""The file is as large as the documentation predicts."""

import pathlib
import random
import re

import pytest

from network_mapper.model import Edge, ServiceRef, Workload
from network_mapper.store import Checkpoint, Database
from network_mapper.store.housekeeping import Housekeeping
from network_mapper.store.schema import HOUR, MINUTE
from network_mapper.store.writer import Sample, _write

START = 497_000 * HOUR
PAGE = pathlib.Path(__file__).parents[3] / "docs" / "operations.md"


def documented():
    """Bytes of an edge, a sighting, a minute and an hour, as the page has them."""
    section = PAGE.read_text().partition("### How large the map gets")[2].partition("\n## ")[0]
    sizes = dict(re.findall(r"^\| (an edge|a sighting|a minute|an hour)\b[^|]*\| (\d+) \|", section, re.MULTILINE))
    return {name: int(size) for name, size in sizes.items()}


@pytest.mark.parametrize(("edges", "hours", "minutes"), [(1_000, 3, 1), (400, 60, 1), (500, 3, 50)])
def test_a_file_has_the_predicted_size(tmp_path, edges, hours, minutes):
    random.seed(7)
    path = tmp_path / "map.db"
    database = Database(str(path), sync="normal")
    housekeeping = Housekeeping()
    new = [
        (
            number,
            Edge(
                Workload(f"checkout-service-{number % 700}", f"team-{number % 40}", "Deployment"),
                Workload(f"payment-service-{number % 900}", f"team-{number % 37}", "Deployment"),
                ServiceRef(f"payment-service-{number % 900}", f"team-{number % 37}"),
                8080,
                "tcp",
            ),
        )
        for number in range(1, edges + 1)
    ]
    samples = [
        Sample(n, START, f"node-{n % 100}", "connections", f"10.0.{n % 250}.{m}", f"10.96.{n % 250}.9", 8080, "")
        for n in range(1, edges + 1)
        for m in range(2)
    ]
    for hour in range(hours):
        for minute in range(minutes):
            start = START + hour * HOUR + minute * MINUTE
            buckets = [
                (start, n, random.randrange(1, 500), 0, 0, 0, start + random.randrange(9_000), start + 50_000, 0, 0, 0)
                for n in range(1, edges + 1)
            ]
            database.connection.execute("BEGIN")
            _write(database.connection, Checkpoint(start, edges=new, buckets=buckets, samples=samples))
            database.connection.execute("COMMIT")
            housekeeping.plan(start, 0)
            while housekeeping.is_due:
                housekeeping.step(database.connection)
            new, samples = [], []
    rows = "SELECT count(*) FROM {}".format
    count = {table: database.connection.execute(rows(table)).fetchone()[0] for table in TABLES}
    database.connection.execute("VACUUM")  # pages that were used for minutes and will be again
    database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    sizes = documented()
    predicted = sum(sizes[name] * count[table] for table, name in TABLES.items())
    assert path.stat().st_size == pytest.approx(predicted, rel=0.15)


TABLES = {"edges": "an edge", "samples": "a sighting", "minutes": "a minute", "hours": "an hour"}
