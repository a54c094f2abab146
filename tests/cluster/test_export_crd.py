"""What `export` writes, judged by a real API server that serves the resource: strict about fields, and dry."""

import json
import subprocess
import sys
from typing import NamedTuple

import msgspec
import pytest
import yaml
from crd_schema import CLIENT_INTENTS
from export_maps import HOSTILE, document, everything, hostile
from harness.kube_api import JSON, ApiError, KubeApi, path_of

from network_mapper.export import document as list_document
from network_mapper.export import encode
from network_mapper.model import Workload

pytestmark = pytest.mark.cluster

VERSIONS = ("v2beta1", "v2alpha1", "v1alpha3")
YAML = "application/yaml"
STRICT = {"dryRun": "All", "fieldValidation": "Strict"}


class Served(NamedTuple):
    """A server that knows ClientIntents in one version, which it stores as it comes: there is nobody to convert it."""

    api: KubeApi
    version: str

    def post(self, item, body=None, content_type=JSON, query=STRICT):
        path = path_of(f"{item['apiVersion']}/clientintents", item["metadata"].get("namespace"))
        return self.api.call("POST", path, body or item, query=query, content_type=content_type)


@pytest.fixture(scope="module", params=VERSIONS)
def served(control_plane, request):
    definition = yaml.safe_load(CLIENT_INTENTS.read_text())
    spec, name, api = definition["spec"], definition["metadata"]["name"], control_plane.admin
    spec["versions"] = [one | {"storage": True} for one in spec["versions"] if one["name"] == request.param]
    api.apply(definition)
    resource = f"k8s.otterize.com/{request.param}/clientintents"
    api.wait(f"{resource} to be served", lambda: api.list(resource) is not None)
    yield Served(api, request.param)
    api.delete("customresourcedefinitions", None, name)
    api.wait(f"{name} to be gone", lambda: name not in names_of(api.list("customresourcedefinitions")))


def names_of(items):
    return {item["metadata"]["name"] for item in items}


def in_namespace(edges, namespace):
    """The edges with all clients in one namespace that exists."""
    return [
        msgspec.structs.replace(edge, client=msgspec.structs.replace(edge.client, namespace=namespace))
        if isinstance(edge.client, Workload)
        else edge
        for edge in edges
    ]


@pytest.fixture
def export(namespace, tmp_path):
    """Run the program on a saved map of every kind of edge and name."""
    edges = in_namespace([*everything(), *hostile()], namespace)
    path = tmp_path / "map.json"
    path.write_text(encode.to_json(list_document.build(document(edges), edges)))

    def run(*args):
        options = ["--map-file", str(path), "--all", "--include-internet", "--include-attempted", *args]
        command = [sys.executable, "-m", "network_mapper", "export", *options]
        return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout

    return run


def test_the_server_takes_every_document_in_yaml_and_reads_what_was_meant(served, export):
    as_json = json.loads(export("--format", "json", "--output-version", served.version))
    texts = export("--output-version", served.version).split(b"\n---\n")
    assert len(texts) == len(as_json) > len(HOSTILE)
    for text, item in zip(texts, as_json, strict=True):
        made = served.post(item, text, YAML)
        assert (made["apiVersion"], made["spec"]) == (item["apiVersion"], item["spec"])
        assert made["metadata"]["name"] == item["metadata"]["name"]


def test_the_server_takes_every_document_in_json_and_all_can_be_there_at_once(served, export, namespace):
    items = json.loads(export("--format", "json", "--output-version", served.version, "-n", namespace))
    for item in items:
        served.post(item, query={"fieldValidation": "Strict"})
    kept = served.api.list(f"k8s.otterize.com/{served.version}/clientintents", namespace)
    assert {item["metadata"]["name"]: item["spec"] for item in kept} == {
        item["metadata"]["name"]: item["spec"] for item in items
    }
    assert len(kept) == len(items) > len(HOSTILE)


def test_the_server_is_as_strict_as_it_is_taken_for(served, export):
    item = json.loads(export("--format", "json", "--output-version", served.version, "--from", "client"))[0]
    text = json.dumps(item)
    assert served.post(item)["spec"] == item["spec"]
    for right, wrong in (
        ('"GET"', '"HEAD"'),
        ('"consume"', '"CONSUME"'),
        ('"methods"', '"verbs"'),
        ('"path"', '"url"'),
        ('"name": "client"', '"name": "Client"'),
    ):
        assert right in text
        with pytest.raises(ApiError):
            served.post(item, text.replace(right, wrong).encode())
