"""Small container images for tests, written as OCI archives by hand: some files, one layer, no registry.

Of two calls with the same files the archives are equal.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.processes import HarnessError, require

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BUSYBOX = "docker.io/library/busybox:1.36"
PAUSE = "registry.k8s.io/pause:3.10"
COREDNS = "registry.k8s.io/coredns/coredns:v1"

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def archive(file: Path, reference: str, files: Mapping[str, bytes | str], command: Sequence[str]) -> Path:
    """Write an archive that `ctr images import` takes.

    Args:
        file: The file to write.
        reference: Name of the image, with its tag.
        files: Paths, without the first slash, and what is there: bytes are a program's, a string is a link's target.
        command: What a container runs unless its pod says otherwise.
    """
    blobs: dict[str, bytes] = {}

    def blob(kind: str, content: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[digest] = content
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}

    layer = blob(_LAYER, _layer(files))
    system = {"architecture": _MACHINES.get(platform.machine(), platform.machine()), "os": "linux"}
    settings = {
        **system,
        "config": {"Env": [_PATH], "Cmd": list(command)},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    }
    config = blob(_CONFIG, _json(settings))
    manifest = blob(_MANIFEST, _json({"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": [layer]}))
    name = {"io.containerd.image.name": reference}
    index = {"schemaVersion": 2, "manifests": [{**manifest, "platform": system, "annotations": name}]}
    with tarfile.open(file, "w") as made:
        _add(made, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add(made, "index.json", _json(index))
        for digest, content in blobs.items():
            _add(made, f"blobs/sha256/{digest}", content)
    return file


def busybox(file: Path) -> Path:
    """An image of busybox with all its applets: a shell, httpd, nc, wget, nslookup."""
    program = _busybox()
    applets = subprocess.run([program, "--list"], check=True, capture_output=True, text=True).stdout.split()
    links = {f"bin/{applet}": "busybox" for applet in applets if applet != "busybox"}
    users = b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"
    files = {"bin/busybox": program.read_bytes(), **links, "etc/passwd": users, "tmp/": b"", "www/": b""}
    return archive(file, BUSYBOX, files, ["sh"])


def pause(file: Path) -> Path:
    """What holds the namespaces of a pod: a program that sleeps."""
    return archive(file, PAUSE, {"bin/sleep": _busybox().read_bytes()}, ["/bin/sleep", "2147483647"])


def coredns(file: Path, program: Path) -> Path:
    """The cluster's DNS server."""
    return archive(file, COREDNS, {"coredns": program.read_bytes()}, ["/coredns", "-conf", "/etc/coredns/Corefile"])


def _busybox() -> Path:
    require({"busybox": "busybox-static"})
    program = Path(shutil.which("busybox") or "").resolve()
    if b"/ld-linux" in program.read_bytes():
        raise HarnessError(f"{program} needs libraries; on Debian: sudo apt install busybox-static")
    return program


def _layer(files: Mapping[str, bytes | str]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as layer:
        for path, content in sorted(files.items()):
            if path.endswith("/"):
                folder = tarfile.TarInfo(path)
                folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
                layer.addfile(folder)
            elif isinstance(content, str):
                link = tarfile.TarInfo(path)
                link.type, link.linkname = tarfile.SYMTYPE, content
                layer.addfile(link)
            else:
                _add(layer, path, content, 0o755)
    return made.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))


def _json(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True).encode()
