"""Names of the node's pods: the folders of their logs.

A kubelet keeps the logs of a pod in `/var/log/pods/NAMESPACE_NAME_UID` and makes that folder before the pod's sandbox,
so the name is there before the first address is. It takes the folder away within minutes after the pod has gone from
the API (`kuberuntime_gc.go: evictPodLogsDirectories`). Only the names are read, nothing in the folders.

The UID is the API's, but for pods that the kubelet runs by itself (static pods): those have a hash of their manifest in
the folder's name and in the control group, while the API shows it as the annotation `kubernetes.io/config.hash` of a
mirror pod with an UID of its own. The API knows nobody by it, so such a pod is never told of (`is_static`): the few
of them that are not on the host's network are known by their addresses.
"""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING

from network_mapper.model import PodRef

if TYPE_CHECKING:
    from collections.abc import Callable

_FOLDER = re.compile(
    r"(?P<namespace>[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)"
    r"_(?P<name>[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)"
    r"_(?P<uid>[A-Za-z0-9][A-Za-z0-9.-]{0,127})"
)
_HASH = re.compile(r"[0-9a-f]{32}")
_COARSE = 50_000_000
"""Nanoseconds. A file system's clock moves in ticks, so two changes close together may leave the same time."""


def pod_of_folder(name: str) -> PodRef | None:
    """The pod whose logs a folder of this name holds; None when it is no such folder."""
    found = _FOLDER.fullmatch(name)
    return PodRef(found["namespace"], found["name"], found["uid"]) if found else None


def is_static(pod: PodRef) -> bool:
    """Whether a pod's UID is a kubelet's hash of a manifest (`kubelet/config/common.go`), which the API never gives."""
    return _HASH.fullmatch(pod.uid) is not None


class PodFolders:
    """The pods that have a folder. Looking costs one stat(2) where no folder came or went.

    Args:
        path: The folder of these folders.
        most: Pods that are kept; further ones are left out and counted.
        clock: Nanoseconds since the epoch, as the file system's.

    Attributes:
        names: The pods by their UID.
        left_out: Folders that found no room at the last reading.
    """

    def __init__(self, path: str, most: int = 8192, clock: Callable[[], int] = time.time_ns) -> None:
        self.names: dict[str, PodRef] = {}
        self.left_out = 0
        self._path = path
        self._most = most
        self._clock = clock
        self._changed: int | None = None

    def look(self) -> set[str]:
        """Read the folder if it has changed.

        Returns:
            UIDs of pods that were not there before.

        Raises:
            OSError: It cannot be read; what was known is kept.
        """
        changed = os.stat(self._path).st_mtime_ns  # noqa: PTH116  several times a second
        if changed == self._changed:
            return set()
        began = self._clock()
        names: dict[str, PodRef] = {}
        left_out = 0
        with os.scandir(self._path) as entries:
            for entry in entries:
                pod = pod_of_folder(entry.name)
                if pod is None:
                    continue
                if len(names) >= self._most:
                    left_out += 1
                else:
                    names[pod.uid] = self.names.get(pod.uid, pod)
        new = names.keys() - self.names.keys()
        self.names, self.left_out = names, left_out
        self._changed = None if began - changed < _COARSE else changed
        return new
