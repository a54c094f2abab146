"""ClientIntents as text, in the layouts that the Otterize command line writes.

That is YAML with lists indented by two and documents parted by `---`, and JSON as Go writes it: an array, indented by
two, with the resource's empty status. Neither ends with a line feed; where it goes to a terminal one is added there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from network_mapper.export.clientintents import shape
from network_mapper.export.clientintents.model import GROUP, KIND
from network_mapper.export.clientintents.yaml_text import block

if TYPE_CHECKING:
    from collections.abc import Iterable

    from network_mapper.export.clientintents.model import Document

_GO_ESCAPES = {
    b"<": rb"\u003c",
    b">": rb"\u003e",
    b"&": rb"\u0026",
    "\u2028".encode(): rb"\u2028",
    "\u2029".encode(): rb"\u2029",
}
"""What Go writes as escapes beyond what JSON asks for; outside of texts JSON has none of these."""


def to_yaml(documents: Iterable[Document], version: str) -> bytes:
    """The documents in YAML; `version` is a value of `versions.VERSIONS`."""
    return "\n---\n".join(_yaml(document, version) for document in documents).encode()


def to_json(documents: Iterable[Document], version: str) -> bytes:
    """The documents as one JSON array; `version` is a value of `versions.VERSIONS`."""
    text = msgspec.json.format(msgspec.json.encode([_object(document, version) for document in documents]), indent=2)
    for character, escape in _GO_ESCAPES.items():
        text = text.replace(character, escape)
    return text


def is_earlier(head: bytes) -> bool:
    """Whether a file that begins so holds ClientIntents, as this program or the Otterize command line writes them."""
    head = head.replace(b"\r\n", b"\n")
    if head.strip() in {b"", b"[]"}:
        return True
    begins = f"apiVersion: {GROUP}/", f'[\n  {{\n    "kind": "{KIND}",\n    "apiVersion": "{GROUP}/'
    if not head.startswith(tuple(begin.encode() for begin in begins)):
        return False
    return head.startswith(b"[") or head.split(b"\n", 2)[1:2] == [f"kind: {KIND}".encode()]


def _yaml(document: Document, version: str) -> str:
    content = {"apiVersion": f"{GROUP}/{version}", "kind": KIND}
    return block(content | {"metadata": _metadata(document), "spec": shape.spec(document, version)})


def _object(document: Document, version: str) -> dict[str, Any]:
    return {
        "kind": KIND,
        "apiVersion": f"{GROUP}/{version}",
        "metadata": {**_metadata(document), "creationTimestamp": None},
        "spec": shape.spec(document, version),
        "status": {"upToDate": False, "observedGeneration": 0},
    }


def _metadata(document: Document) -> dict[str, str]:
    named = {"name": document.name}
    return named | {"namespace": document.namespace} if document.namespace else named
