"""Writes `docs/configuration.md` from the declarations of the settings, so that the two cannot disagree.

python -m network_mapper.cli.reference docs/configuration.md
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from network_mapper.cli.serve import CONFIG_HELP, default_text
from network_mapper.mapper.settings import MapperSettings
from network_mapper.settings import CONFIG_ENV, LARGEST_FILE, LogSettings, settings_of
from network_mapper.sniffer.settings import SnifferSettings

if TYPE_CHECKING:
    from network_mapper.settings import Setting

_INTRODUCTION = f"""\
# Configuration

Everything that can be set about `network-mapper mapper` and `network-mapper sniffer`; the other commands are in
[cli.md](cli.md). Each setting is a flag, an environment variable and a key of a file:

```sh
network-mapper sniffer --report-interval 500ms            # 1. a flag wins over
NETWORK_MAPPER_REPORT_INTERVAL=500ms                      # 2. our variable, that over
OTTERIZE_SNIFFER_REPORT_INTERVAL=500ms                    # 3. a variable of the Otterize network mapper, that over
network-mapper sniffer --config /etc/network-mapper.toml  # 4. the file, and that over the default
```

An empty variable counts as not set.

The file is TOML without tables: the names of the flags, without the dashes before them. A key that does not exist, a
value of another type, and a file of more than {LARGEST_FILE // 1024} KiB are errors.

```toml
# mapper.toml
listen = ":9090"
excluded-namespaces = ["istio-system", "linkerd", "kube-system"]
remember-pods = "2h"      # or 7200
enable-dns = true
```

| value | as a flag or in our variables | in a file | in variables of the Otterize network mapper |
| --- | --- | --- | --- |
| seconds | `90`, `0.5`, `500ms`, `1m`, `1h30m`, `2d` | a number, or text of these forms | `500ms`, `1m`; a number alone is in nanoseconds |
| list | `a,b` or `a b`; `,` is the empty list | `["a", "b"]`, or text of these forms | `a b` |
| boolean | `--x` and `--no-x`; `true`, `1`, `yes`, `on` and their opposites | `true`, `false` | `1 t T true True TRUE`; anything else is false, with a warning |

Kubernetes sets variables for the Services of a namespace, such as `NETWORK_MAPPER_METRICS_PORT=tcp://10.0.0.1:2112`
for a Service `network-mapper-metrics`. Where a number is wanted they are passed over.

[migration.md](migration.md) lists every setting of the Otterize network mapper with what became of it.

This page is written by `make docs` from the declarations in the code, and a test compares them.
"""  # noqa: E501  a row of a table is one line


def _default(setting: Setting) -> str:
    if setting.default is msgspec.NODEFAULT:
        return "required"
    text = default_text(setting)
    return text if not text or setting.form == "switch" else f"`{text}`"


def _flag(setting: Setting) -> str:
    if setting.form == "switch":
        return f"`{setting.flag}`, `--no-{setting.key}`"
    return f"`{setting.flag} {setting.metavar}`" if setting.metavar else f"`{setting.flag}`"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _table(title: str, component: type[msgspec.Struct], *first: str) -> str:
    lines = [
        f"## {title}\n",
        _row("flag", "variables", "key in a file", "default", "meaning"),
        _row(*["---"] * 5),
        *first,
    ]
    for setting in settings_of(component):
        variables = ", ".join(f"`{name}`" for name in (setting.env, *setting.model_env))
        lines.append(_row(_flag(setting), variables, f"`{setting.key}`", _default(setting), setting.help))
    return "\n".join(lines) + "\n"


def render() -> str:
    """The whole page."""
    config = _row("`--config FILE`", f"`{CONFIG_ENV}`", "", "", CONFIG_HELP)
    return "\n".join(
        [
            _INTRODUCTION,
            _table("mapper", MapperSettings),
            _table("sniffer", SnifferSettings),
            _table("mapper and sniffer", LogSettings, config),
        ],
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render())
