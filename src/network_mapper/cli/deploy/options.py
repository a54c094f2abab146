"""The options of `install`, `upgrade` and `uninstall`.

`-n/--namespace` is where the mapper is, as kubectl and Helm have it, and not the namespace of a map's clients as in
`list`. So its variables are those of `--mapper-namespace`, and a `namespace` in the file of settings, which is meant
for `list`, does not count: nobody wants the mapper in the one namespace that they like to look at.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from network_mapper.cli.command import environment_names, option
from network_mapper.cli.deploy.names import PROFILES

if TYPE_CHECKING:
    from collections.abc import Callable

    from network_mapper.cli.deploy.manifests import Options

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def _name(_: click.Context, __: click.Parameter, value: str) -> str:
    if value and not _NAME.fullmatch(value):
        raise click.BadParameter(
            f"{value!r} is no name of a namespace: it has up to 63 lower-case letters, digits and '-'."
        )
    return value


def _namespace(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    if parameter.name and ctx.get_parameter_source(parameter.name) is ParameterSource.DEFAULT_MAP:
        return ""
    return _name(ctx, parameter, value)


def _span(ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    from network_mapper.cli import duration  # noqa: PLC0415  --help needs none

    return duration.option_callback(ctx, parameter, value)


def _image(_: click.Context, __: click.Parameter, value: str) -> str:
    if value:
        from network_mapper.cli.deploy import image  # noqa: PLC0415  as above

        try:
            image.split(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return value


def _secrets(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if not all(_NAME.fullmatch(part) for part in value.split(".")):
            raise click.BadParameter(f"{value!r} is no name of a secret; make one with 'kubectl create secret'.")
    return tuple(dict.fromkeys(values))


def _with(options: list[Callable[[Any], Any]], function: Callable[..., Any]) -> Callable[..., Any]:
    return functools.reduce(lambda made, decorate: decorate(made), reversed(options), function)


def cluster_options(where: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options that say which cluster and namespace are meant.

    Args:
        where: The help of `--namespace`, which the command gets as `namespace`; empty where none is named.
    """
    options = [
        option(
            "-n",
            "--namespace",
            default="",
            metavar="NAME",
            envvar=environment_names("--mapper-namespace"),
            callback=_namespace,
            help=where,
        ),
        option(
            "--mapper-namespace",
            default="",
            metavar="NAME",
            callback=_name,
            help="The same, as other commands and files of settings call it.",
        ),
        option(
            "--kubeconfig",
            default="",
            metavar="FILE",
            help="The kubeconfig; else $KUBECONFIG, the pod's account, ~/.kube/config.",
        ),
        option("--context", default="", metavar="NAME", help="Context of the kubeconfig; else its current one."),
    ]

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def with_namespace(*args: Any, namespace: str, mapper_namespace: str, **others: Any) -> Any:
            return function(*args, namespace=namespace or mapper_namespace, **others)

        return _with(options, with_namespace)

    return decorate


def wait_options(default: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add `--wait` and `--timeout`, with its default; the command gets `wait`, and `timeout` in milliseconds."""
    options = [
        option("--wait/--no-wait", "wait", default=True, show_default=True, help="Wait until it is done."),
        option(
            "--timeout",
            default=default,
            show_default=True,
            metavar="SPAN",
            callback=_span,
            help="How long to wait at most, such as 90s or 5m.",
        ),
    ]
    return lambda function: _with(options, function)


_CONTENT = [
    option(
        "--profile",
        type=click.Choice(list(PROFILES)),
        help=f"What is installed: {'; '.join(f'{name}, {meaning}' for name, meaning in PROFILES.items())}.",
    ),
    option(
        "--image",
        metavar="IMAGE",
        callback=_image,
        help="The image in a registry of your own: REPOSITORY, REPOSITORY:TAG or REPOSITORY@DIGEST; the tag is this "
        "version where none is given.",
    ),
    option(
        "--image-pull-secret",
        "image_pull_secrets",
        multiple=True,
        metavar="NAME",
        callback=_secrets,
        help="Secret in the namespace with credentials of the registry; may be repeated.",
    ),
    option(
        "--sniffer-health-port",
        "health_port",
        type=click.IntRange(1, 65535),
        metavar="PORT",
        help="Port on every node by which the kubelet asks whether a sniffer lives, where 19591 is taken.",
    ),
    option(
        "--label-namespace/--no-label-namespace",
        "label_namespace",
        default=None,
        help="Whether to label the namespace so that PodSecurity admits the sniffers; by default if this command made "
        "it.",
    ),
    option(
        "--force-conflicts",
        is_flag=True,
        help="Take over fields that somebody else has set, with kubectl edit for example.",
    ),
    option(
        "--dry-run",
        type=click.Choice(["none", "client", "server"]),
        is_flag=False,
        flag_value="client",
        default="none",
        show_default=True,
        help="client prints the manifests, without asking any cluster; server lets the cluster check everything and "
        "keep nothing.",
    ),
]


def content_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what is installed and how."""
    return _with(_CONTENT, function)


def chosen(
    profile: str | None,
    image: str | None,
    pull_secrets: tuple[str, ...],
    health_port: int | None,
    before: Options | None = None,
) -> Options:
    """What is installed: what was asked for, else what was before, else the defaults.

    Of an image that was chosen before only the repository counts, for the tag was that of another version.
    """
    from network_mapper.cli.deploy import image as images  # noqa: PLC0415  --help needs none
    from network_mapper.cli.deploy.manifests import Options  # noqa: PLC0415  likewise

    known = before or Options()
    kept = images.split(known.image)[0] if known.image else ""
    return Options(
        profile=profile or known.profile,
        image=image or kept,
        pull_secrets=pull_secrets or known.pull_secrets,
        health_port=health_port or known.health_port,
    )
