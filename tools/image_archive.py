"""Image archives as containerd, podman and docker import them, written and read without any of them.

The archive is an OCI image layout in a tar file. Layers are not packed: packed bytes depend on the packer's version,
and a digest here depends on nothing but content; what pushes an image to a registry packs its layers by itself.

Formats: the OCI image specification 1.0 (image-layout, manifest, config); `io.containerd.image.name` is how containerd
and docker name what they import.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


class ArchiveError(Exception):
    """A file is no image archive of ours; the message says which."""


class Image(NamedTuple):
    """An image in an archive.

    Attributes:
        reference: Its name, repository and tag.
        digest: Of its manifest, `sha256:…`: what a registry would name it by.
        config: The OCI image configuration.
        manifest: The OCI manifest.
    """

    reference: str
    digest: str
    config: dict[str, Any]
    manifest: dict[str, Any]


class Blob(NamedTuple):
    """Some content of an image: its bytes, or the file that holds them."""

    digest: str
    size: int
    content: bytes | Path


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _blob(content: bytes) -> Blob:
    return Blob("sha256:" + hashlib.sha256(content).hexdigest(), len(content), content)


def file_blob(file: Path) -> Blob:
    """A file as content of an image."""
    with file.open("rb") as stream:
        return Blob("sha256:" + hashlib.file_digest(stream, "sha256").hexdigest(), file.stat().st_size, file)


def _add(archive: tarfile.TarFile, name: str, content: BinaryIO, size: int, mtime: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, 0o644, mtime
    archive.addfile(entry, content)


def pack_layer(root: Path, file: Path, owners: dict[str, int], mtime: int) -> None:
    """Write a folder as a layer: sorted, dated alike, owned by root.

    Args:
        root: The folder; modes are taken as they are.
        file: The layer.
        owners: User and group of what does not belong to root, by its path under the folder.
        mtime: The date of every entry, seconds.
    """
    with tarfile.open(file, "w", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted(root.rglob("*"), key=lambda path: path.relative_to(root).parts):
            name = path.relative_to(root).as_posix()
            entry = archive.gettarinfo(path, name)
            entry.uid = entry.gid = owners.get(name, 0)
            entry.uname = entry.gname = ""
            entry.mtime = mtime
            if entry.isreg():
                with path.open("rb") as stream:
                    archive.addfile(entry, stream)
            else:
                archive.addfile(entry)


def files_layer(files: dict[str, bytes], mtime: int) -> bytes:
    """A layer of these files, by their absolute paths; each may be read and run by everybody."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name.lstrip("/"))
            entry.size, entry.mode, entry.mtime = len(content), 0o755, mtime
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def write(file: Path, reference: str, config: dict[str, Any], layers: list[Blob]) -> Image:
    """Write an archive with one image; the layers' digests are put into its configuration.

    Args:
        file: The archive; it is there when it is whole.
        reference: Repository and tag.
        config: The OCI image configuration, less `rootfs`.
        layers: From the lowest on.
    """
    config = {**config, "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]}}
    configured = _blob(_json(config))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": configured.digest, "size": configured.size},
        "layers": [{"mediaType": LAYER, "digest": layer.digest, "size": layer.size} for layer in layers],
        "annotations": config["config"].get("Labels", {}),
    }
    manifested = _blob(_json(manifest))
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [
            {
                "mediaType": MANIFEST,
                "digest": manifested.digest,
                "size": manifested.size,
                "annotations": {
                    "io.containerd.image.name": reference,
                    "org.opencontainers.image.ref.name": reference.rpartition(":")[2],
                },
                "platform": {"architecture": config["architecture"], "os": config["os"]},
            }
        ],
    }
    aside = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        with tarfile.open(aside, "w", format=tarfile.GNU_FORMAT) as archive:
            for name, content in (("oci-layout", _json({"imageLayoutVersion": "1.0.0"})), ("index.json", _json(index))):
                _add(archive, name, io.BytesIO(content), len(content), 0)
            for blob in sorted({manifested, configured, *layers}, key=lambda blob: blob.digest):
                name = "blobs/sha256/" + blob.digest.removeprefix("sha256:")
                if isinstance(blob.content, bytes):
                    _add(archive, name, io.BytesIO(blob.content), blob.size, 0)
                else:
                    with blob.content.open("rb") as stream:
                        _add(archive, name, stream, blob.size, 0)
        aside.rename(file)
    finally:
        aside.unlink(missing_ok=True)
    return Image(reference, manifested.digest, config, manifest)


def _content(archive: tarfile.TarFile, descriptor: dict[str, Any]) -> BinaryIO:
    stream = archive.extractfile("blobs/sha256/" + descriptor["digest"].removeprefix("sha256:"))
    assert stream is not None
    return stream  # type: ignore[return-value]


def read(file: Path) -> Image:
    """The image of an archive that `write` wrote.

    Raises:
        ArchiveError: It is none.
    """
    try:
        with tarfile.open(file, "r:") as archive:
            stream = archive.extractfile("index.json")
            assert stream is not None
            (entry,) = json.load(stream)["manifests"]
            manifest = json.load(_content(archive, entry))
            config = json.load(_content(archive, manifest["config"]))
            return Image(entry["annotations"]["io.containerd.image.name"], entry["digest"], config, manifest)
    except (OSError, tarfile.TarError, KeyError, ValueError, AssertionError):
        raise ArchiveError(f"{file} is no image archive that tools/image.py wrote") from None


def layers(file: Path) -> Iterator[tarfile.TarFile]:
    """The layers of an archive, open for reading, from the lowest on."""
    with tarfile.open(file, "r:") as archive:
        for descriptor in read(file).manifest["layers"]:
            with tarfile.open(fileobj=_content(archive, descriptor), mode="r:") as layer:
                yield layer


def unpack(file: Path, root: Path) -> None:
    """Lay the image out as a container would see it; owners are kept where we are root.

    Whiteouts have no meaning here: no layer of ours removes anything.
    """
    for layer in layers(file):
        layer.extraction_filter = lambda member, _: member  # the argument `filter` is younger than Python 3.11
        layer.extractall(root, numeric_owner=True)  # noqa: S202  we wrote it


def derive(
    base: Path, file: Path, reference: str, files: dict[str, bytes], *, command: list[str] | None, env: dict[str, str]
) -> Image:
    """Write an archive with one more layer on another's image; see `image.layered`."""
    image = read(base)
    added = dict(image.config["config"])
    if command is not None:
        added["Entrypoint"] = command
    added["Env"] = [*added.get("Env", []), *(f"{name}={value}" for name, value in sorted(env.items()))]
    scratch = file.with_name(f"{file.name}.{os.getpid()}.layers")
    scratch.mkdir()
    try:
        blobs = []
        with tarfile.open(base, "r:") as archive:
            for number, descriptor in enumerate(image.manifest["layers"]):
                copy = scratch / str(number)
                with copy.open("wb") as stream:
                    shutil.copyfileobj(_content(archive, descriptor), stream, 1 << 20)
                blobs.append(Blob(descriptor["digest"], descriptor["size"], copy))
        blobs.append(_blob(files_layer(files, 0)))
        history = [*image.config["history"], {"created": image.config["created"], "created_by": "files of a test"}]
        return write(file, reference, {**image.config, "config": added, "history": history}, blobs)
    finally:
        shutil.rmtree(scratch)
