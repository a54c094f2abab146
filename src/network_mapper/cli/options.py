"""Options that several commands share: how the mapper is reached, and which part of the map is meant.

Each decorator hands the command one value, so that commands pass on what was asked for without knowing its parts.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from network_mapper.cli.command import environment_names, option
from network_mapper.cli.sources.base import Connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from network_mapper.export.selection import Selection

F = TypeVar("F", bound="Callable[..., Any]")


def names(values: tuple[str, ...]) -> tuple[str, ...]:
    """`-n a,b -n c` as one tuple without repetitions."""
    pieces = (piece.strip() for value in values for piece in value.split(","))
    return tuple(dict.fromkeys(piece for piece in pieces if piece))


_PORT = click.IntRange(0, 65535)
_PORT.name = "port"  # as it stands in the message about one that is none

_CONNECTION = [
    option(
        "--mapper-url",
        default="",
        metavar="URL",
        help="Where the mapper answers: http://host:port, https://host:port or unix:/path; /query at its end is left "
        "out. Else a mapper is looked for in the cluster of the kubeconfig, and without one at http://localhost:9090.",
    ),
    option(
        "--map-file",
        default="",
        metavar="FILE",
        help="Read a saved map, as 'list --all -o json' prints it; - for the standard input.",
    ),
    option(
        "--kubeconfig",
        default="",
        metavar="FILE",
        help="The kubeconfig; else $KUBECONFIG, the pod's account, ~/.kube/config.",
    ),
    option("--context", default="", metavar="NAME", help="Context of the kubeconfig; else its current one."),
    option(
        "--mapper-namespace", default="", metavar="NAME", help="Namespace of the mapper; else it is looked for in all."
    ),
    option("--mapper-service-name", default="", metavar="NAME", help="Service of the mapper; else it is looked for."),
    option(
        "--mapper-service-port",
        type=_PORT,
        default=0,
        metavar="PORT",
        help="Port of that service, or of its pods; else the one that the service names.",
    ),
]


_PARAMETERS = {
    "url": "mapper_url",
    "file": "map_file",
    "kubeconfig": "kubeconfig",
    "context": "context",
    "namespace": "mapper_namespace",
    "service": "mapper_service_name",
    "port": "mapper_service_port",
}
"""The fields of a Connection, and the options that say them."""
_WAYS = (("url",), ("file",), ("kubeconfig", "context", "namespace", "service", "port"))
"""Fields that go together; those of different ways contradict each other."""
_STRENGTH = (ParameterSource.DEFAULT_MAP, ParameterSource.ENVIRONMENT)
"""Where values come from, the weakest first; any other source is stronger."""


def _strongest(given: dict[str, Any]) -> Connection:
    """What was asked for, by the way that was said most expressly.

    A flag on the command line goes before variables of the environment that name another way, and these before the
    file of `--config`; two ways that were said equally expressly stay, for `open_source` to refuse.
    """
    context = click.get_current_context()

    def strength(field: str) -> int:
        source = context.get_parameter_source(_PARAMETERS[field])
        return _STRENGTH.index(source) if source in _STRENGTH else len(_STRENGTH)

    if context.get_parameter_source(_PARAMETERS["port"]) is ParameterSource.ENVIRONMENT and _is_service_link():
        given = {**given, "port": 0}
    ways = [(max(map(strength, said)), way) for way in _WAYS if (said := [field for field in way if given[field]])]
    strongest = max((found for found, _ in ways), default=0)
    kept = {field for found, way in ways if found == strongest for field in way}
    return Connection(**{field: value for field, value in given.items() if field in kept})


def _is_service_link() -> bool:
    """Whether the variable of the service's port is Kubernetes' own, for a Service such as `network-mapper-mapper`."""
    set_by = (name for name in environment_names("--mapper-service-port") if os.environ.get(name))
    return next(set_by, "").removesuffix("PORT") + "HOST" in os.environ


def connection_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of reaching a mapper; the command gets them as `connection`."""

    @functools.wraps(function)
    def with_connection(*args: Any, **others: Any) -> Any:
        given = {name: others.pop(parameter) for name, parameter in _PARAMETERS.items()}
        return function(*args, connection=_strongest(given), **others)

    return _with(_CONNECTION, with_connection)


def _span(ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    from network_mapper.cli import duration  # noqa: PLC0415  --help needs none

    return duration.option_callback(ctx, parameter, value)


_SELECTION = [
    option(
        "-n",
        "--namespaces",
        "--namespace",
        "namespaces",
        multiple=True,
        metavar="NAME[,NAME]",
        envvar=["NETWORK_MAPPER_NAMESPACES", "NETWORK_MAPPER_NAMESPACE", "OTTERIZE_NAMESPACES"],
        help="Only clients in this namespace; may be repeated.",
    ),
    option(
        "--from",
        "sources",
        multiple=True,
        metavar="NAME[,NAME]",
        help="Only these clients: a name, NAME.NAMESPACE or NAMESPACE/NAME.",
    ),
    option("--to", "targets", multiple=True, metavar="NAME[,NAME]", help="Only these servers, likewise."),
    option(
        "--server",
        default="",
        metavar="NAME.NAMESPACE",
        help="Only clients that call this server, with everything that they call.",
    ),
    option(
        "--exclude-services",
        multiple=True,
        metavar="NAME[,NAME]",
        help="Without these workloads, as clients and as servers: a name, NAME.NAMESPACE or NAMESPACE/NAME.",
    ),
    option(
        "--exclude-labels",
        multiple=True,
        metavar="KEY[=VALUE],…",
        help="Without workloads that have this label; a key alone means any value.",
    ),
    option(
        "--since",
        metavar="SPAN",
        callback=_span,
        help="Only what was seen in the last 90s, 15m, 1h30m, 2d.",
    ),
    option(
        "--as-kubernetes-service",
        "as_services",
        is_flag=True,
        help="Show the Kubernetes Service that was dialled in place of the workload behind it.",
    ),
    option(
        "--distinct-by-label",
        default="",
        metavar="KEY",
        help="Tell clients apart by the value of this label.",
    ),
    option(
        "-a",
        "--all",
        "everything",
        is_flag=True,
        help="Also cluster DNS, this program's own traffic, and clients that are nodes or outside the cluster.",
    ),
]


def selection_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose a part of the map; the command gets them as `selection`."""

    @functools.wraps(function)
    def with_selection(
        *args: Any,
        namespaces: tuple[str, ...],
        sources: tuple[str, ...],
        targets: tuple[str, ...],
        server: str,
        exclude_services: tuple[str, ...],
        exclude_labels: tuple[str, ...],
        since: int | None,
        as_services: bool,
        distinct_by_label: str,
        everything: bool,
        **others: Any,
    ) -> Any:
        selection = _selection(
            namespaces=names(namespaces),
            sources=names(sources),
            targets=names(targets),
            server=server,
            without=names(exclude_services),
            without_labels=names(exclude_labels),
            since=since or 0,
            as_services=as_services,
            distinct_by_label=distinct_by_label,
            everything=everything,
        )
        return function(*args, selection=selection, **others)

    return _with(_SELECTION, with_selection)


def _selection(**values: Any) -> Selection:
    from network_mapper.export.selection import Selection, SelectionError  # noqa: PLC0415  --help needs no model

    try:
        return Selection.of(**values)
    except SelectionError as error:
        raise click.UsageError(str(error)) from None


def _with(options: list[Callable[[Any], Any]], function: F) -> F:
    decorated: F = functools.reduce(lambda made, decorate: decorate(made), reversed(options), function)
    return decorated
