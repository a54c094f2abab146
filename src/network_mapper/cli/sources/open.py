"""From what a person asked for to a source: a file, a URL, or a mapper inside a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from network_mapper.cli.sources.base import Connection, MapSource
    from network_mapper.http_client import HttpClient

DEFAULT_URL = "http://localhost:9090"


def open_source(connection: Connection) -> MapSource:
    """Open the map that is meant: what was named, else the cluster that is configured, else this machine's mapper.

    Raises:
        CliError: What was asked for cannot be opened.
        UsageError: Two ways were asked for at once.
    """
    if connection.file:
        _only("--map-file", ("--mapper-url", connection.url), *_cluster_flags(connection))
        from network_mapper.cli.sources.file import FileSource  # noqa: PLC0415  one kind is loaded, not all

        return FileSource(connection.file)
    from network_mapper.cli.sources.detect import source_at  # noqa: PLC0415  likewise

    if connection.url:
        _only("--mapper-url", *_cluster_flags(connection))
        return source_at(_at_url(connection.url), connection.url)
    if found := _in_cluster(connection):
        return source_at(*found)
    return source_at(
        _at_url(DEFAULT_URL), DEFAULT_URL, "there is no kubeconfig (--kubeconfig, KUBECONFIG, ~/.kube/config), and "
    )


def _cluster_flags(connection: Connection) -> list[tuple[str, object]]:
    return [
        ("--kubeconfig", connection.kubeconfig),
        ("--context", connection.context),
        ("--mapper-namespace", connection.namespace),
        ("--mapper-service-name", connection.service),
        ("--mapper-service-port", connection.port),
    ]


def _only(flag: str, *others: tuple[str, object]) -> None:
    """Refuse a flag beside others that say something else."""
    given = [name for name, value in others if value]
    if given:
        raise click.UsageError(
            f"{flag} and {' and '.join(given)} contradict each other: they name different maps. Give one of them "
            "(environment variables count)."
        )


def _at_url(url: str) -> HttpClient:
    from network_mapper.cli.errors import CliError  # noqa: PLC0415  as above
    from network_mapper.http_client import HttpClient, UrlError, mapper_address  # noqa: PLC0415  as above

    try:
        return HttpClient(mapper_address(url))
    except UrlError as error:
        raise CliError(f"{error}. Name the mapper with --mapper-url.") from None


def _in_cluster(connection: Connection) -> tuple[HttpClient, str] | None:
    """The mapper of the cluster; None where no cluster is configured and none was asked for."""
    from network_mapper.cli.errors import CliError  # noqa: PLC0415  as above
    from network_mapper.kube.config import find_access  # noqa: PLC0415  as above
    from network_mapper.kube.errors import KubeConfigError, NoClusterError  # noqa: PLC0415  as above

    try:
        access = find_access(connection.kubeconfig, connection.context)
    except KubeConfigError as error:
        asked = any(value for _, value in _cluster_flags(connection))
        if isinstance(error, NoClusterError) and not asked:
            return None
        raise CliError(f"{error}. Check --kubeconfig and --context, or name a mapper with --mapper-url.") from error
    from network_mapper.cli.sources.cluster import open_mapper  # noqa: PLC0415  as above

    return open_mapper(access, connection)
