"""A LiveCluster in a thread of its own, beside a recording of what the index was told, for tests that look inside."""

import asyncio
import threading
import time

from network_mapper.cluster.index import Index
from network_mapper.cluster.live.cluster import LiveCluster
from network_mapper.kube.access import Access
from network_mapper.kube.client import ApiClient
from network_mapper.kube.config import find_access


class Followed:
    """Follows the cluster of a kubeconfig, or of an Access; use as a context manager."""

    def __init__(self, kubeconfig, **options):
        self.index = Index()
        self._access = kubeconfig if isinstance(kubeconfig, Access) else find_access(str(kubeconfig))
        self._options = options
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self):
        self._thread.start()
        self._call(self._start())
        return self

    def __exit__(self, *_):
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _start(self):
        self._client = ApiClient(self._access, timeout=2)
        self.live = LiveCluster(self._client, self.index, **self._options)
        self._task = asyncio.create_task(self.live.run())

    async def _stop(self):
        await self.live.close()
        await self._task
        await self._client.close()

    def ask(self, question):
        """Ask the cluster or its index something, in the thread that owns them."""

        async def answer():
            return question()

        return self._call(answer())

    def wait(self, question, seconds=30):
        """Wait until a question is answered with something true; returns that."""
        deadline = time.monotonic() + seconds
        while not (found := self.ask(question)):
            assert time.monotonic() < deadline, self.ask(self.live.problems)
            time.sleep(0.05)
        return found

    def wait_synced(self):
        self.wait(self.live.synced.is_set)
        return self

    def states(self):
        """State of each resource by name."""
        return {item.resource: item.state.value for item in self.ask(self.live.status)}

    def content(self):
        """Everything that the index says of pods, services and nodes, comparable between two of them."""

        def read():
            index = self.index
            pods = {
                (pod.namespace, pod.name): (pod.uid, pod.workload, pod.addresses, pod.labels, pod.node, pod.end)
                for pod in index._pods.values()
            }
            services = {
                (service.namespace, service.name): (service.addresses, service.ports, service.backends)
                for service in index._services._services.values()
            }
            return pods, services, {node.name: node.addresses for node in index._nodes.values()}

        return self.ask(read)
