"""Validation of objects against the schema in a CustomResourceDefinition, as strict as a server with strict fields.

A server prunes what the schema does not name, and refuses it when asked to be strict; here it is an error always. The
words are those that structural schemas of these resources use; another word in a schema is an error too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

CLIENT_INTENTS = Path(__file__).parents[1] / "fixtures" / "clientintents-crd.yaml"
_TYPES = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
_WORDS = {"type", "properties", "required", "items", "enum", "format"}
_NO_SCHEMA = {"type": "object"}


def schemas(path: Path = CLIENT_INTENTS) -> dict[str, dict[str, Any]]:
    """The schema of each version."""
    spec = yaml.safe_load(path.read_text())["spec"]
    return {f"{spec['group']}/{version['name']}": version["schema"]["openAPIV3Schema"] for version in spec["versions"]}


def problems(value: Any, schema: dict[str, Any], place: str = "") -> list[str]:
    """What is wrong with a value, a line each with its place."""
    assert schema.keys() <= _WORDS, f"{place}: unknown words in the schema: {sorted(schema)}"
    wanted = _TYPES[schema["type"]]
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is int):
        return [f"{place}: {value!r} is no {schema['type']}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{place}: {value!r} is none of {schema['enum']}"]
    if isinstance(value, list):
        return [line for n, item in enumerate(value) for line in problems(item, schema["items"], f"{place}[{n}]")]
    if not isinstance(value, dict) or (schema == _NO_SCHEMA and place == ".metadata"):
        return []
    known = schema.get("properties", {})
    found = [f"{place}.{key}: unknown" for key in value if key not in known]
    found += [f"{place}.{key}: missing" for key in schema.get("required", ()) if key not in value]
    for key in known.keys() & value.keys():
        found += problems(value[key], known[key], f"{place}.{key}")
    return found
