"""Requests to a cluster's API on behalf of a person, and what their failures mean to that person.

The requests are coroutines, for some of them are asked side by side; a `Session` runs them from a command, which may
ask questions on the terminal in between. A refusal for want of a right names the verb and the resource, so that
whoever manages the cluster can grant just that.
"""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec

from network_mapper.cli.deploy.manifests import MANAGER
from network_mapper.cli.errors import CliError
from network_mapper.kube.client import ApiClient
from network_mapper.kube.config import find_access
from network_mapper.kube.errors import (
    ApiError,
    CredentialsError,
    KubeConfigError,
    NoClusterError,
    RefusedError,
    one_line,
)
from network_mapper.kube.status import read_status

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from network_mapper.kube.client import Answer

API_TIMEOUT = 30.0
"""Seconds for each answer; admission webhooks may take ten of them."""
PAGE = 500
MOST_PAGES = 20
MOST_WARNINGS = 20
RIGHTS = "docs/install.md lists the rights that installing takes"

_MISSING = re.compile(
    r'cannot (?P<verb>\w+) resource "(?P<plural>[^"]+)" in API group "(?P<group>[^"]*)"'
    r'(?: (?:in the namespace "(?P<namespace>[^"]+)"|at the cluster scope))?'
)
_WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')

T = TypeVar("T")


class _Cause(msgspec.Struct):
    reason: str | None = None
    message: str | None = None
    field: str | None = None


class _Details(msgspec.Struct):
    causes: list[_Cause] | None = None


class _Failure(msgspec.Struct):
    details: _Details | None = None


class DeniedError(RefusedError):
    """The API refused one request.

    Attributes:
        reason: The API's word for it, such as `Forbidden`, `Conflict`, `Invalid`.
        causes: Pairs of a field and what is wrong with it.
    """

    def __init__(self, message: str, code: int, reason: str, causes: list[tuple[str, str]]) -> None:
        super().__init__(message, code)
        self.reason = reason
        self.causes = causes

    @property
    def missing_right(self) -> str:
        """The right that is missing, such as `create daemonsets.apps in namespace shop`; empty where none is."""
        found = _MISSING.search(str(self))
        if self.code != HTTPStatus.FORBIDDEN or not found:
            return ""
        group = f".{found['group']}" if found["group"] else ""
        # The whole cluster is named as such, so that nobody grants a role in one namespace for it.
        wide = not found["namespace"] or (found["verb"], found["plural"]) == ("create", "namespaces")
        where = "in the whole cluster" if wide else f"in namespace {found['namespace']}"
        return f"{found['verb']} {found['plural']}{group} {where}"


def _denied(answer: Answer) -> DeniedError:
    status = read_status(answer.status, answer.headers, answer.body)
    try:
        found = msgspec.json.decode(answer.body, type=_Failure)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = _Failure()
    causes = (found.details.causes if found.details else None) or []
    pairs = [(one_line(cause.field or ""), one_line(cause.message or "")) for cause in causes]
    return DeniedError(status.message, answer.status, status.reason, pairs)


class Api:
    """Requests for whole objects, as decoded JSON.

    Attributes:
        warnings: What the API has remarked on what was sent, each once.
    """

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self.warnings: list[str] = []

    async def get(self, path: str) -> dict[str, Any] | None:
        """An object; None where there is none of that name.

        Raises:
            DeniedError: The API refused.
            ApiError: It cannot be asked.
        """
        return await self._ask("GET", path)

    async def list(self, path: str, **params: str) -> list[dict[str, Any]]:
        """The objects of a collection; none where the API has no such kind.

        Raises:
            DeniedError: The API refused.
            ApiError: It cannot be asked.
        """
        found: list[dict[str, Any]] = []
        token = ""
        for _ in range(MOST_PAGES):
            more = {"continue": token} if token else {}
            answer = await self._ask("GET", path, {**params, "limit": str(PAGE), **more})
            if answer is None:
                break
            kind = str(answer.get("kind", "")).removesuffix("List")
            what = {"apiVersion": answer.get("apiVersion"), "kind": kind}
            found += [{**what, **item} for item in answer.get("items") or ()]
            token = (answer.get("metadata") or {}).get("continue") or ""
            if not token:
                break
        return found

    async def apply(
        self, path: str, item: Mapping[str, Any], *, dry_run: bool = False, force: bool = False
    ) -> dict[str, Any]:
        """Server-side apply as the field manager `network-mapper`; returns the object as it is then.

        Raises:
            DeniedError: The API refused; code 409 where fields belong to another manager.
            ApiError: It cannot be asked.
        """
        params = {"fieldManager": MANAGER, "force": "true" if force else "false"}
        if dry_run:
            params["dryRun"] = "All"
        headers = {"Content-Type": "application/apply-patch+yaml", "Accept": "application/json"}  # YAML takes JSON in
        answer = await self._client.request("PATCH", path, params, headers, msgspec.json.encode(item))
        for found in _WARNING.findall(answer.headers.get("warning", "")):
            text = one_line(found.replace('\\"', '"'))
            if text not in self.warnings and len(self.warnings) < MOST_WARNINGS:
                self.warnings.append(text)
        if not 200 <= answer.status < 300:
            raise _denied(answer)
        return self._object(path, answer)

    async def delete(self, path: str, uid: str) -> bool:
        """Delete one object, if it is still the one that was seen; whether it was there.

        Raises:
            DeniedError: The API refused.
            ApiError: It cannot be asked.
        """
        options = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        answer = await self._client.request("DELETE", path, None, headers, msgspec.json.encode(options))
        if answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):  # gone, or another one of the same name
            return False
        if not 200 <= answer.status < 300:
            raise _denied(answer)
        return True

    async def text(self, path: str, params: Mapping[str, str]) -> str:
        """A plain text, such as a container's log.

        Raises:
            DeniedError: The API refused.
            ApiError: It cannot be asked.
        """
        answer = await self._client.get(path, params, accept="*/*")
        if answer.status != HTTPStatus.OK:
            raise _denied(answer)
        return answer.body.decode("utf-8", "replace")

    async def _ask(self, method: str, path: str, params: Mapping[str, str] | None = None) -> dict[str, Any] | None:
        answer = await self._client.request(method, path, params, {"Accept": "application/json"})
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        if not 200 <= answer.status < 300:
            raise _denied(answer)
        return self._object(path, answer)

    def _object(self, path: str, answer: Answer) -> dict[str, Any]:
        try:
            found: dict[str, Any] = msgspec.json.decode(answer.body, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RefusedError(f"its answer for {path} is none of Kubernetes ({one_line(str(error))})", 502) from None
        return found


class Session:
    """One command's work with a cluster.

    Args:
        kubeconfig: File; empty for the usual places.
        context: Of that file; empty for its current one.

    Attributes:
        api: For coroutines that `run` runs.
        where: What the cluster is called in messages.

    Raises:
        CliError: No cluster is configured.
    """

    def __init__(self, kubeconfig: str, context: str) -> None:
        try:
            access = find_access(kubeconfig, context)
        except NoClusterError as error:
            raise CliError(f"{error}. Name a kubeconfig with --kubeconfig.") from error
        except KubeConfigError as error:
            raise CliError(f"{error}. Check --kubeconfig and --context.") from error
        self._access = access
        self._runner = asyncio.Runner()
        self._client = ApiClient(access, timeout=API_TIMEOUT)
        self.api = Api(self._client)
        self.where = f"context {access.context}" if access.context else "this cluster"

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something with the API.

        Raises:
            CliError: It cannot be asked, or refuses.
        """
        server = f"the API server of {self.where}"
        try:
            return self._runner.run(work)
        except RefusedError as error:
            if error.code == HTTPStatus.UNAUTHORIZED:
                raise CliError(
                    f"{server} ({self._access.server}) does not accept the credentials of {self._access.origin} "
                    f"({error}); they may have expired. Log in to the cluster again."
                ) from error
            right = error.missing_right if isinstance(error, DeniedError) else ""
            if right:
                raise CliError(f"you may not {right} of {self.where}. Ask for that right; {RIGHTS}.") from error
            raise CliError(f"{server} ({self._access.server}) refused: {error}.") from error
        except CredentialsError as error:
            raise CliError(f"no credentials for {server}: {error}. Log in to the cluster.") from error
        except ApiError as error:
            raise CliError(f"{server} cannot be reached: {error}. Check --context and the cluster.") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._runner.run(self._client.close())
        finally:
            self._runner.close()
