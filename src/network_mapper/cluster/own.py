"""Which pods are parts of this program, or of the Otterize network mapper: what they say to each other is no news.

They are known by their labels: ours by what the recommended labels of Kubernetes say, Otterize's by the `app` that its
Helm chart gives them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME: Final = "network-mapper"
_OURS: Final = ("app.kubernetes.io/part-of", "app.kubernetes.io/name")
_OTTERIZE: Final = frozenset(
    ("otterize-network-mapper", "otterize-network-sniffer", "otterize-kafka-watcher", "otterize-istio-watcher")
)


def is_own(labels: Mapping[str, str]) -> bool:
    """Whether a pod with these labels is such a part."""
    return any(labels.get(key) == _NAME for key in _OURS) or labels.get("app") in _OTTERIZE
