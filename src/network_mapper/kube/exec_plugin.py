"""Programs that print credentials, as the kubeconfig of every managed cluster names one: `aws eks`, `kubelogin`.

The program is told in its environment what is wanted, and answers with an `ExecCredential` in
`client.authentication.k8s.io/v1` or `v1beta1`. It never gets a terminal: a mapper has none, and a command in a pipe
should not hang in a hidden question.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import shutil
import signal
import time
from typing import TYPE_CHECKING, Any

import msgspec

from network_mapper.kube.credentials import Proof
from network_mapper.kube.errors import CredentialsError, KubeConfigError, one_line, reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from network_mapper.kube.kubeconfig import Plugin

_GROUP = "client.authentication.k8s.io/"
_VERSIONS = ("v1", "v1beta1")
_LARGEST = 1024 * 1024
_TIMEOUT = 60.0


class _Status(msgspec.Struct, rename="camel"):
    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None
    expiration_timestamp: dt.datetime | None = None


class _Credential(msgspec.Struct, rename="camel"):
    kind: str | None = None
    api_version: str | None = None
    status: _Status | None = None


class ExecPlugin:
    """Runs a plugin when there is no credential, when it has expired, and when it was refused.

    Args:
        plugin: What the kubeconfig says.
        folder: The kubeconfig's folder: a command with a slash is relative to it.
        cluster: What the plugin is told of the cluster; None unless it asked.
        origin: How messages name the kubeconfig's user.
        timeout: Seconds for one run.
        clock: Seconds since the epoch, which credentials expire by.

    Raises:
        KubeConfigError: The entry is incomplete, or asks for what we do not do.
    """

    def __init__(
        self,
        plugin: Plugin,
        folder: Path,
        *,
        cluster: Mapping[str, Any] | None,
        origin: str,
        timeout: float = _TIMEOUT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not plugin.command:
            raise KubeConfigError(f"{origin}: its exec plugin has no command")
        version = (plugin.api_version or "").removeprefix(_GROUP)
        if version not in _VERSIONS or plugin.api_version == version:
            wanted = " or ".join(_GROUP + known for known in _VERSIONS)
            raise KubeConfigError(
                f"{origin}: its exec plugin has apiVersion {one_line(plugin.api_version or '')!r}, expected {wanted}; "
                "update the plugin and the kubeconfig"
            )
        mode = plugin.interactive_mode or ("" if version == "v1" else "IfAvailable")
        if mode not in ("Never", "IfAvailable", "Always"):
            raise KubeConfigError(f"{origin}: its exec plugin needs interactiveMode Never or IfAvailable")
        if mode == "Always":
            raise KubeConfigError(
                f"{origin}: its exec plugin {plugin.command} asks questions (interactiveMode Always), and nobody "
                "answers here; use another user, or a token"
            )
        self._plugin = plugin
        self._origin = origin
        self._timeout = timeout
        self._clock = clock
        command = plugin.command
        if os.path.dirname(command) and not os.path.isabs(command):  # noqa: PTH120, PTH117  Path drops a leading ./
            command = str(folder / command)
        self._command = [command, *(argument or "" for argument in plugin.args or ())]
        self._environ = {item.name: item.value or "" for item in plugin.env or () if item.name}
        spec: dict[str, Any] = {"interactive": False}
        if cluster is not None:
            spec["cluster"] = cluster
        info = {"kind": "ExecCredential", "apiVersion": plugin.api_version, "spec": spec}
        try:
            self._environ["KUBERNETES_EXEC_INFO"] = msgspec.json.encode(info).decode()
        except (TypeError, ValueError, RecursionError) as error:
            raise KubeConfigError(f"{origin}: what its exec plugin is told is no JSON: {reason(error)}") from None
        if "\0" in "".join([*self._command, *self._environ, *self._environ.values()]) or "=" in "".join(self._environ):
            raise KubeConfigError(f"{origin}: its exec plugin's command or environment holds characters it cannot")
        self._proof: Proof | None = None
        self._expires: float | None = None
        self._lock = asyncio.Lock()

    async def current(self) -> Proof:
        """What the plugin printed last, as long as it is valid. Several callers wait for one run.

        Raises:
            CredentialsError: The plugin failed.
        """
        async with self._lock:
            if self._proof is None or (self._expires is not None and self._clock() >= self._expires):
                self._proof, self._expires = self._understand(await self._run())
            return self._proof

    def reject(self, proof: Proof) -> None:
        """Run the plugin at the next request, unless another has run meanwhile."""
        if proof is self._proof:
            self._proof = None

    def _error(self, words: str) -> CredentialsError:
        hint = one_line(self._plugin.install_hint or "")
        return CredentialsError(f"{self._origin}: exec plugin {self._command[0]} {words}{'. ' + hint if hint else ''}")

    async def _run(self) -> bytes:
        program = shutil.which(self._command[0], path=self._environ.get("PATH"))
        if program is None:
            raise self._error("is not installed, or not in PATH")
        try:
            process = await asyncio.create_subprocess_exec(
                program,
                *self._command[1:],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, **self._environ},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise self._error(f"cannot be run: {reason(error)}") from None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            async with asyncio.timeout(self._timeout):
                out, said = await asyncio.gather(_read(process.stdout), _read(process.stderr))
                code = await process.wait()
        except TimeoutError:
            raise self._error(f"did not finish within {self._timeout:g} s") from None
        finally:
            await _end(process)
        if code != 0:
            words = one_line(said.decode("utf-8", "replace"))
            raise self._error(f"failed with exit code {code}{': ' + words if words else ''}")
        return out

    def _understand(self, out: bytes) -> tuple[Proof, float | None]:
        try:
            found = msgspec.json.decode(out, type=_Credential)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._error(f"printed no ExecCredential: {reason(error)}") from None
        if found.kind != "ExecCredential" or found.api_version != self._plugin.api_version:
            named = one_line(f"{found.api_version} {found.kind}")
            raise self._error(f"printed {named}, expected {self._plugin.api_version} ExecCredential")
        status = found.status or _Status()
        token = (status.token or "").strip()
        certificate, key = status.client_certificate_data or "", status.client_key_data or ""
        if not token and not certificate:
            raise self._error("printed neither a token nor a certificate")
        if bool(certificate) != bool(key):
            raise self._error("printed a certificate without its key, or a key alone")
        if token and not (token.isascii() and token.isprintable()):
            raise self._error("printed a token with characters that no token has")
        expires = status.expiration_timestamp
        if expires is not None and expires.tzinfo is None:
            expires = expires.replace(tzinfo=dt.UTC)
        proof = Proof(f"Bearer {token}" if token else "", certificate.encode(), key.encode())
        return proof, expires.timestamp() if expires is not None else None


async def _read(stream: asyncio.StreamReader) -> bytes:
    """Everything that comes, of which the first mebibyte is kept."""
    kept = bytearray()
    while piece := await stream.read(65536):
        if len(kept) < _LARGEST:
            kept += piece
    return bytes(kept)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the plugin and what it has started, if it still runs, and let go of its pipes."""
    pipes = [pipe for pipe in (process.stdout, process.stderr) if pipe is not None]
    if process.returncode is None or not all(pipe.at_eof() for pipe in pipes):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        await asyncio.shield(process.wait())
