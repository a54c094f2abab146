"""Writes what the Helm chart has from the program's code, and the page about its values.

The chart says some things that the code says too: the settings of mapper and sniffer, what the mapper reads of the
cluster, the version. They are written from the code, into the chart's own files, so that whoever downloads the chart
needs nothing else. What each value means stands once, as the comment above it in values.yaml; the schema's descriptions
and docs/chart.md are taken from there. Types and bounds of values that are not settings stand in values.schema.json.

    python tools/chart.py   # after a change of settings, of what is read, of comments, or of the version
"""

from __future__ import annotations

import json
import re
import textwrap
import typing
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml
from wheels import ROOT

from network_mapper import __version__
from network_mapper.cluster.live import resources
from network_mapper.mapper.settings import MapperSettings
from network_mapper.settings import LogSettings, Setting, settings_of
from network_mapper.sniffer.settings import SnifferSettings

if TYPE_CHECKING:
    from pathlib import Path

    import msgspec

CHART = ROOT / "charts" / "network-mapper"
PAGE = ROOT / "docs" / "chart.md"
WIDTH = 120

COMPONENTS: dict[str, type[msgspec.Struct]] = {"mapper": MapperSettings, "sniffer": SnifferSettings}

CHARTS_OWN = {
    "mapper": {
        "snapshot": "it follows the cluster that it runs in",
        "kubeconfig": "it uses its service account",
        "context": "it uses its service account",
        "listen": "it listens on port 9090 of its pod, where the Service leads",
        "metrics_port": "metrics are at /metrics of the same port",
        "store": "the map is in the volume",
    },
    "sniffer": {
        "mapper_url": "`sniffer.mapperUrl`, or the Service of the release",
        "node": "the name of the node that the pod is on",
        "capture": "`sniffer.capture`, from which its capabilities follow",
        "proc_dir": "the node's /proc is mounted at /host/proc",
        "health_port": "`sniffer.healthPort`",
        "metrics_port": "`sniffer.metricsPort`",
        "replay_patience": "it is for capture files",
    },
}
"""Settings that are no values of `settings`, and what the chart does about each."""

_SPAN = r"^(([0-9]{1,15}(\.[0-9]{0,15})?|\.[0-9]{1,15})(ns|us|µs|μs|ms|s|m|h|d))+$"
_EMPTY = frozenset({'""', "[]", "{}"})
_NONE_BY_NULL = frozenset({"affinity", "nodeSelector", "resources", "tolerations", "updateStrategy"})
"""Values that people set to null for none, and Kubernetes takes it so."""
_LINK = re.compile(r"`(docs/(\w+)\.md)`|docs/(\w+)\.md")


class Value(NamedTuple):
    """A value of the chart.

    Attributes:
        name: `mapper.service.type`.
        meaning: The comment above it, in one line.
        default: As it is written in values.yaml, in one line of JSON.
    """

    name: str
    meaning: str
    default: str


def settings(component: str) -> dict[str, Setting]:
    """The settings that are values of a component, by their name in the chart: `excludedNamespaces`."""
    known = [*settings_of(COMPONENTS[component]), *settings_of(LogSettings)]
    return {_camel(item.field): item for item in known if item.field not in CHARTS_OWN[component]}


def _camel(field: str) -> str:
    first, *others = field.split("_")
    return first + "".join(word.capitalize() for word in others)


def _bounds(component: type[msgspec.Struct], field: str) -> dict[str, float]:
    hint = typing.get_type_hints(component, include_extras=True)[field]
    found: dict[str, float] = {}
    for meta in typing.get_args(hint)[1:]:
        for ours, schemas in (("ge", "minimum"), ("gt", "exclusiveMinimum"), ("le", "maximum"),
                              ("lt", "exclusiveMaximum")):  # fmt: skip
            if (bound := getattr(meta, ours, None)) is not None:
                found[schemas] = bound
    return found


def _type(item: Setting) -> dict[str, Any]:
    match item.form:
        case "whole":
            return {"type": "integer"}
        case "number":
            return {"type": "number"}
        case "seconds":
            return {"type": ["number", "string"], "minimum": 0, "pattern": _SPAN}
        case "switch":
            return {"type": "boolean"}
        case "words":
            return {"type": "array", "items": {"type": "string", "pattern": r"^[^,\s]+$"}}
        case "choice":
            return {"enum": list(item.choices)}
        case _:
            return {"type": "string"}


def settings_schema(component: str) -> dict[str, Any]:
    """The schema of `mapper.settings` or `sniffer.settings`."""
    properties = {}
    for key, item in settings(component).items():
        owner = LogSettings if item.field in LogSettings.__struct_fields__ else COMPONENTS[component]
        properties[key] = {"description": item.help, **_type(item), **_bounds(owner, item.field)}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def settings_comment(component: str) -> str:
    """The list of settings with their defaults, as comments of values.yaml."""
    lines = []
    for key, item in settings(component).items():
        lines += textwrap.wrap(item.help, WIDTH, initial_indent="  #   # ", subsequent_indent="  #   # ")
        lines.append(f"  #   {key}: {default_of(item)}")
    return "\n".join(lines) + "\n"


def default_of(item: Setting) -> str:
    """The default of a setting in one line of YAML."""
    value = int(item.default) if isinstance(item.default, float) and item.default.is_integer() else item.default
    return json.dumps(value, ensure_ascii=False) if not isinstance(value, str) or not value else value


def rules_template() -> str:
    """`templates/_rules.tpl`: what the mapper reads, apart from the kinds that operators bring."""
    operators = {(group, plural) for group, plural, _ in resources.KNOWN_OWNERS}
    parts: dict[str, list[str]] = {"network-mapper.rules": [], "network-mapper.operatorRules": []}
    for rule in resources.rules():
        (group,) = rule["apiGroups"]
        for name, wanted in (("network-mapper.rules", False), ("network-mapper.operatorRules", True)):
            plurals = [plural for plural in rule["resources"] if ((group, plural) in operators) == wanted]
            if plurals:
                parts[name] += [
                    f"- apiGroups: [{group or json.dumps('')}]",
                    f"  resources: [{', '.join(plurals)}]",
                    f"  verbs: [{', '.join(rule['verbs'])}]",
                ]
    blocks = ["{{/* Made by `python tools/chart.py` from what the mapper reads. */}}"]
    blocks += [f'{{{{- define "{name}" -}}}}\n' + "\n".join(lines) + "\n{{- end }}" for name, lines in parts.items()]
    return "\n\n".join(blocks) + "\n"


def values(text: str, schema: dict[str, Any]) -> list[Value]:
    """All values of values.yaml with the comments above them; what the schema does not divide is one value.

    Raises:
        ValueError: A value has no comment.
    """
    found: list[Value] = []
    document = yaml.compose(text)
    assert isinstance(document, yaml.MappingNode)
    _walk(text.splitlines(), document, schema, "", found)
    return found


def _walk(lines: list[str], node: yaml.MappingNode, schema: dict[str, Any], prefix: str, found: list[Value]) -> None:
    for key, value in node.value:
        name = prefix + key.value
        inner = schema["properties"].get(key.value, {})
        if "properties" in inner and isinstance(value, yaml.MappingNode):
            _walk(lines, value, inner, f"{name}.", found)
            continue
        meaning = _comment(lines, key.start_mark.line)
        if not meaning:
            raise ValueError(f"values.yaml: there is no comment above {name}")
        default = yaml.SafeLoader("")
        written = default.construct_document(value)
        found.append(Value(name, meaning, json.dumps(written, ensure_ascii=False)))


def _comment(lines: list[str], line: int) -> str:
    """The comment right above a line, without the list of settings in it."""
    first = line
    while first and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    words = [text.strip().removeprefix("#").strip() for text in lines[first:line]]
    begin = next((n for n, text in enumerate(words) if text.startswith("BEGIN ")), len(words))
    return " ".join(words[:begin])


def described(schema: dict[str, Any], text: str) -> dict[str, Any]:
    """The schema with its settings from the code, and with the comments of values.yaml as descriptions.

    Helm takes a default away where null is given, as by a key with nothing but comments below it. Templates bear that
    of what is empty by default; all else is required, so that the schema says what is missing.
    """
    for component in COMPONENTS:
        schema["definitions"][f"{component}Settings"] = settings_schema(component)
    for value in values(text, schema):
        place = schema
        for name in value.name.split("."):
            place = place["properties"].setdefault(name, {})
        content = {key: part for key, part in place.items() if key != "description"}
        place.clear()
        place.update({"description": value.meaning, **content})
        *above, last = value.name.split(".")
        if value.default not in _EMPTY and last not in _NONE_BY_NULL:
            _require(schema, above, last)
        for depth in range(len(above)):
            _require(schema, above[:depth], above[depth])
    return schema


def _require(schema: dict[str, Any], above: list[str], name: str) -> None:
    for part in above:
        schema = schema["properties"][part]
    schema["required"] = sorted({*schema.get("required", ()), name})


def commented(text: str) -> str:
    """values.yaml with its lists of settings from the code."""
    for component in COMPONENTS:
        begin, end = f"  # BEGIN {component}.settings\n", f"  # END {component}.settings\n"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"values.yaml: there is no place for the list of {component}.settings")
        text = before + begin + settings_comment(component) + end + after
    return text


def versioned(text: str) -> str:
    """Chart.yaml with the version of the program."""
    return re.sub(r"(?m)^(version|appVersion): .*$", lambda found: f"{found[1]}: {__version__}", text)


def page(text: str, schema: dict[str, Any]) -> str:
    """`docs/chart.md`."""
    lines = [_INTRODUCTION, _row("value", "default", "meaning"), _row(*["---"] * 3)]
    lines += [
        _row(f"`{value.name}`", _default(value.default), _linked(value.meaning)) for value in values(text, schema)
    ]
    for component, own in CHARTS_OWN.items():
        lines += [f"\n## {component}.settings\n", _SETTINGS.format(component=component)]
        lines += [_row("key", "default", "meaning"), _row(*["---"] * 3)]
        lines += [_row(f"`{key}`", f"`{default_of(item)}`", item.help) for key, item in settings(component).items()]
        lines += ["\nThe chart sets the others itself:\n", _row("setting", "what the chart does"), _row(*["---"] * 2)]
        lines += [_row(f"`{field.replace('_', '-')}`", reason) for field, reason in own.items()]
    return "\n".join(lines) + "\n"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(written: str) -> str:
    return "" if written == '""' else f"`{written}`"


def _linked(meaning: str) -> str:
    return _LINK.sub(lambda found: f"[{found[2] or found[3]}.md]({found[2] or found[3]}.md)", meaning)


def files() -> dict[Path, str]:
    """Every file with something from the code in it, as it should be."""
    chart, yaml_file, schema_file = CHART / "Chart.yaml", CHART / "values.yaml", CHART / "values.schema.json"
    text = commented(yaml_file.read_text(encoding="utf-8"))
    schema = described(json.loads(schema_file.read_text(encoding="utf-8")), text)
    return {
        chart: versioned(chart.read_text(encoding="utf-8")),
        yaml_file: text,
        schema_file: json.dumps(schema, indent=2, ensure_ascii=False) + "\n",
        CHART / "templates" / "_rules.tpl": rules_template(),
        PAGE: page(text, schema),
    }


def contents() -> dict[str, bytes]:
    """The files of the chart's archive by name, which `dist.tar` packs as `network-mapper-VERSION.tgz`."""
    left_out = {"ci", ".helmignore"}
    return {
        f"{CHART.name}/{file.relative_to(CHART).as_posix()}": file.read_bytes()
        for file in CHART.rglob("*")
        if file.is_file() and file.relative_to(CHART).parts[0] not in left_out
    }


_INTRODUCTION = """\
# The Helm chart

```sh
helm install network-mapper charts/network-mapper --namespace network-mapper --create-namespace
```

It makes a mapper (a Deployment of one pod, with a Service) and a sniffer on every node (a DaemonSet). What each may do
is in [security.md](security.md); what became of the values of the Otterize chart in
[migration.md](migration.md#the-chart). Helm refuses a value that is not in these tables or cannot be what is given.

- **The map is kept** only with `persistence.enabled=true`; else a new mapper pod begins with what is open then.
- **The namespace** has to allow the sniffers where Pod Security is enforced:
  `kubectl label namespace network-mapper pod-security.kubernetes.io/enforce=privileged`.
- **Proxies**: mapper and sniffers never use one inside the cluster, whatever `HTTP_PROXY` and its like in `extraEnv`
  say.
- **More than one installation**: names of objects that belong to the whole cluster end in the namespace's name, so they
  never meet. Give each its own `sniffer.healthPort`.

This page is written by `make docs` from the comments of `values.yaml` and from the declarations of the settings, and a
test compares them.

## Values
"""
_SETTINGS = """\
Keys of `{component}.settings`; in [configuration.md](configuration.md) they are with their variables and flags. Seconds
are a number, or text such as `500ms` or `1h30m`.
"""


def write() -> None:
    """Write the chart's generated parts and docs/chart.md."""
    for file, text in files().items():
        file.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write()
