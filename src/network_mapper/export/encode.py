"""Any document as JSON or YAML text, field by field in the order of its declaration."""

from __future__ import annotations

import msgspec


def to_json(document: msgspec.Struct) -> str:
    """Indented JSON with a final newline."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def to_yaml(document: msgspec.Struct) -> str:
    """YAML in block style; strings that YAML would read as something else are quoted."""
    import yaml  # noqa: PLC0415  30 ms that only -o yaml pays for

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # libyaml's is ten times faster, and not in every build
    text: str = yaml.dump(msgspec.to_builtins(document), Dumper=dumper, sort_keys=False, allow_unicode=True, width=120)
    return text
