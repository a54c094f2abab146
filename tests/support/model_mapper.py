"""Our mapper, asked and told as the model's own programs do."""

from __future__ import annotations

import contextlib
import copy
import json
import time
from collections import Counter

import model_reports as reports
from mapper_process import MapperProcess

from network_mapper.http_client import HttpClient

WAITING = 20.0
POLL = 0.02


def eventually(probe, seconds=WAITING):
    """Ask until there is a true result, which is returned."""
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(POLL)
    return found


class ModelMapper(MapperProcess):
    """A mapper process; reports in the model's words, answers as its command line reads them."""

    def another_client(self):
        """The same mapper on a connection of its own, for another thread."""
        other = copy.copy(self)
        other.client = HttpClient(self.url, timeout=10)
        return other

    # Reports

    def send(self, field, value):
        """Send one report, which must be taken."""
        answer = self.post(json.dumps(reports.mutation(field, value)).encode(), path="/query")
        assert answer == (200, {"data": {field: True}}), (answer, self.output()[-2000:])

    def lookups(self, client, *names, at=0, hostname=""):
        """DNS answers that a client got."""
        answers = [reports.answer(name, "10.96.0.1", at=at) for name in names]
        self.send("reportCaptureResults", {"results": [reports.source(client, *answers, hostname=hostname)]})

    def connections(self, client, *connections, hostname=""):
        """TCP connections that a client opened; each an address, or one of `reports.connection`."""
        made = [reports.connection(item) if isinstance(item, str) else item for item in connections]
        self.send("reportTCPCaptureResults", {"results": [reports.source(client, *made, hostname=hostname)]})

    def sockets(self, client, *sockets, hostname=""):
        """Sockets that a client has open; each an address, or one of `reports.socket`."""
        made = [reports.socket(item) if isinstance(item, str) else item for item in sockets]
        self.send("reportSocketScanResults", {"results": [reports.source(client, *made, hostname=hostname)]})

    def topics(self, *topics):
        """Accesses of `reports.topic`."""
        self.send("reportKafkaMapperResults", {"results": list(topics)})

    def requests(self, *requests):
        """Requests of `reports.http`."""
        self.send("reportIstioConnectionResults", {"results": list(requests)})

    # Answers

    def intents(self, *namespaces, **arguments):
        """The query `intents` with everything that it can be asked for."""
        variables = {"namespaces": list(namespaces) or None, **arguments}
        status, content = self.ask(reports.INTENTS, variables, operationName="Intents")
        assert status == 200, content
        return content["data"]["intents"]

    def service_intents(self, *namespaces, **arguments):
        """The older query."""
        variables = {"namespaces": list(namespaces) or None, **arguments}
        status, content = self.ask(reports.SERVICE_INTENTS, variables, operationName="ServiceIntents")
        assert status == 200, content
        return content["data"]["serviceIntents"]

    def pairs(self, *namespaces, **arguments):
        """Names of client and server of each intent, with its type where it has one."""
        return [
            (intent["client"]["name"], intent["server"]["name"], *filter(None, [intent["type"]]))
            for intent in self.intents(*namespaces, **arguments)
        ]

    def after(self, report, probe):
        """Send a report again and again until it shows, because the cluster is followed with a small delay."""

        def attempt():
            report()
            return probe()

        drops = {}
        with self._told(drops), self.dropping(drops):
            return eventually(attempt)

    @contextlib.contextmanager
    def _told(self, drops):
        try:
            yield
        except AssertionError as error:
            error.add_note(f"dropped meanwhile: {drops}")
            raise

    def intent(self, namespace, report):
        """The only intent of a namespace's clients, after a report."""
        found = self.after(report, lambda: self.intents(namespace))
        assert len(found) == 1, found
        return found[0]

    # Our own side

    def edges(self, namespace):
        """Edges of our own map with an end in a namespace."""
        found = self.get("/api/v1/map")["edges"]
        return [
            edge for edge in found if namespace in (edge["client"].get("namespace"), edge["server"].get("namespace"))
        ]

    def drops(self):
        """What did not reach the map, by reason."""
        return Counter(self.get("/api/v1/status")["drops"])

    @contextlib.contextmanager
    def dropping(self, found=None):
        """What did not reach the map in this block, by reason; filled at its end."""
        found = {} if found is None else found
        before = self.drops()
        try:
            yield found
        finally:
            found.update(self.drops() - before)

    def knows(self, place):
        """Wait until the mapper knows what was made in a place, as far as pods and services go."""
        # Events of a kind come in their order, so behind these everything of the others is known, addresses too.
        place.mark()
        pods = place.living()
        # Services of places that are on their way out go at any moment, so their number is asked for each time.
        eventually(lambda: self._pods(place.namespace) == pods and self._services() == place.services())

    def _pods(self, namespace):
        rows = self.get(f"/api/v1/workloads?namespace={namespace}")["workloads"]
        return sum(row["pods"] for row in rows)

    def _services(self):
        return self.get("/api/v1/status")["cluster"]["services"]
