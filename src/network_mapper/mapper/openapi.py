"""The OpenAPI description of the REST interface, made from the very types that are encoded and decoded."""

from __future__ import annotations

from typing import Any

import msgspec

from network_mapper import __version__
from network_mapper.wire import api, report

_TIME = {"type": "integer", "description": "Milliseconds since the epoch (UTC)."}


def _answer(text: str, name: str) -> dict[str, Any]:
    return {
        "description": text,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}},
    }


def _problem(text: str) -> dict[str, Any]:
    return {
        "description": text,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _query(name: str, text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": text, "schema": schema}


_MAP = "The map. A parameter that is not known here is passed over and named in `ignored`."
_NAMESPACE = _query("namespace", "Keep clients of this namespace; may be repeated.", {"type": "string"})


def document() -> dict[str, Any]:
    """OpenAPI 3.1 for everything under `/api/v1`."""
    shapes = [
        report.Report,
        report.Receipt,
        api.Problem,
        api.MapDocument,
        api.WorkloadsDocument,
        api.Status,
        api.ResetDocument,
    ]
    _, components = msgspec.json.schema_components(shapes, ref_template="#/components/schemas/{name}")
    body = {"schema": {"$ref": "#/components/schemas/Report"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "network-mapper", "version": __version__, "description": "The map of a Kubernetes cluster."},
        "paths": {
            "/api/v1/map": {
                "get": {
                    "summary": "The map, or a part of it",
                    "parameters": [
                        _NAMESPACE,
                        _query("client", "Keep edges of the client with this name.", {"type": "string"}),
                        _query("server", "Keep edges to the server with this name.", {"type": "string"}),
                        _query("since", "Count only what was seen from here on, to the minute.", _TIME),
                        _query("until", "Count only what was seen before.", _TIME),
                        _query("labels", "Tell the labels of the edges' ends, in `workloads`.", {"type": "boolean"}),
                    ],
                    "responses": {
                        "200": _answer(_MAP, "MapDocument"),
                        "400": _problem("A parameter's value is wrong."),
                    },
                }
            },
            "/api/v1/workloads": {
                "get": {
                    "summary": "Every workload of the cluster",
                    "parameters": [_NAMESPACE],
                    "responses": {"200": _answer("The workloads.", "WorkloadsDocument")},
                }
            },
            "/api/v1/status": {
                "get": {
                    "summary": "State of the mapper and its sniffers",
                    "responses": {"200": _answer("The status.", "Status")},
                }
            },
            "/api/v1/reset": {
                "post": {
                    "summary": "Empty the map",
                    "description": "Needs `Content-Type: application/json`, which no foreign web page may send.",
                    "requestBody": {"required": False, "content": {"application/json": {"schema": {"type": "object"}}}},
                    "responses": {
                        "200": _answer("Emptied.", "ResetDocument"),
                        "415": _problem("Another content type."),
                        "503": _problem("Emptied, but not yet on disk."),
                    },
                }
            },
            report.PATH: {
                "post": {
                    "summary": "Report what a node saw",
                    "requestBody": {"required": True, "content": {report.JSON: body, report.MSGPACK: body}},
                    "responses": {
                        "200": _answer("Counted, and it cannot be lost any more.", "Receipt"),
                        "400": _problem("The report's head cannot be read."),
                        "408": _problem("The report came too slowly."),
                        "413": _problem("Larger than the mapper accepts."),
                        "415": _problem("Neither JSON nor MessagePack."),
                        "503": _problem("Not now: send the same bytes again after `Retry-After` seconds."),
                    },
                }
            },
        },
        "components": {"schemas": components},
    }
