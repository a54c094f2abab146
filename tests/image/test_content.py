"""What is in the image for each architecture, and what is not."""

import hashlib
import importlib.util
import json
import re
import stat
from pathlib import Path

import elf
import image
import image_archive
import image_cache
import pytest
from image_cache import packages, rootfs

from network_mapper import __version__

SITE = rootfs.SITE
PROCESSOR = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
SHELLS = {"sh", "bash", "dash", "ash", "zsh", "fish", "busybox"}
MANAGERS = {"apt", "apt-get", "dpkg", "dpkg-deb", "pip", "pip3", "apk"}
UNPACKED_BYTES = 100_000_000
UNCHECKED = 0b01
"""A compiled module's flags: it goes by a hash, and that is not compared (PEP 552)."""


@pytest.fixture(scope="module")
def programs(root):
    """ELF files by path."""
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    found = {path.relative_to(root).as_posix(): elf.read(path.read_bytes()) for path in files}
    return {path: program for path, program in found.items() if program}


def test_every_program_and_library_is_for_the_architecture(programs, arch):
    assert len(programs) > 50
    assert {path: program.machine for path, program in programs.items() if program.machine != arch} == {}


def test_every_needed_library_is_in_the_image(programs, arch, root):
    folders = [root / "usr/lib" / PROCESSOR[arch], root / "usr/lib"]
    missing = [
        (path, name)
        for path, program in programs.items()
        for name in program.needed
        if not any((folder / name).exists() for folder in folders)
    ]
    assert missing == []


def test_no_library_is_looked_for_where_the_image_has_none(programs):
    assert {path: program.paths for path, program in programs.items() if program.paths} == {}


def test_the_interpreter_finds_its_loader(programs, arch, members):
    loader = programs[f"usr/bin/python{packages.PYTHON}"].loader
    assert loader.lstrip("/") == packages.ARCHITECTURES[arch][1]
    folder, _, name = loader.lstrip("/").rpartition("/")
    assert members[folder].linkname == f"usr/{folder}"
    assert f"usr/{folder}/{name}" in members


def test_there_is_one_program_beside_the_interpreter(members):
    runnable = {name for name, member in members.items() if member.isreg() and member.mode & 0o111}
    assert {name for name in runnable if "/bin/" in name or "/sbin/" in name} == {
        rootfs.PROGRAM,
        f"usr/bin/python{packages.PYTHON}",
    }


def test_there_is_no_shell_and_no_package_manager(members):
    files = [name for name, member in members.items() if not member.isdir()]
    assert [name for name in files if Path(name).name in SHELLS | MANAGERS] == []
    assert not any(re.match(rf"{SITE}/(pip|setuptools)\b|.*/ensurepip/", name) for name in files)


def test_nothing_runs_as_somebody_else(members):
    assert {name for name, member in members.items() if member.mode & (stat.S_ISUID | stat.S_ISGID)} == set()
    assert not any("SCHILY.xattr.security.capability" in member.pax_headers for member in members.values())


def test_nothing_but_tmp_can_be_written_by_everybody(members):
    assert {name for name, member in members.items() if not member.issym() and member.mode & 0o002} == {"tmp"}
    assert members["tmp"].mode == 0o1777


def test_all_belongs_to_root_but_the_folder_for_the_map(members):
    owned = {name: (member.uid, member.gid) for name, member in members.items() if member.uid or member.gid}
    assert owned == {"data": (65532, 65532)}


def test_it_runs_as_a_user_whose_name_is_known(archive, root):
    assert image_archive.read(archive).config["config"]["User"] == "65532:65532"
    users = {line.split(":")[0]: line.split(":")[2:4] for line in (root / "etc/passwd").read_text().splitlines()}
    assert users["network-mapper"] == ["65532", "65532"]
    assert "network-mapper:x:65532:" in (root / "etc/group").read_text().splitlines()
    assert not any(line.endswith("sh") for line in (root / "etc/passwd").read_text().splitlines())


def test_every_file_has_the_one_date(members):
    assert {member.mtime for member in members.values()} == {rootfs.TIME}


def test_it_is_small(archive):
    assert sum(layer["size"] for layer in image_archive.read(archive).manifest["layers"]) <= UNPACKED_BYTES


def test_every_module_is_compiled_and_its_source_not_compared(root):
    modules = list(root.rglob("*.py"))
    assert len(modules) > 1000
    for module in modules:
        compiled = module.parent / "__pycache__" / f"{module.stem}.cpython-311.pyc"
        content = compiled.read_bytes()
        assert int.from_bytes(content[4:8], "little") == UNCHECKED, module
        assert content[8:16] == importlib.util.source_hash(module.read_bytes()), module


def test_the_package_is_whole_but_for_what_tests_need(root):
    source = image.ROOT / "src"
    wanted = {file.relative_to(source).as_posix() for file in rootfs.project_files()}
    assert "network_mapper/mapper/graphql/schema.graphql" in wanted
    assert not any(name.startswith("network_mapper/testing/") for name in wanted)
    for name in wanted:
        assert (root / SITE / name).read_bytes() == (source / name).read_bytes(), name


def test_the_wheels_are_those_of_the_lock(root):
    lock = (image.ROOT / "requirements.lock").read_text()
    locked = {(name, version) for name, version in re.findall(r"^([a-z0-9-]+)==([^ ]+)", lock, re.MULTILINE)}
    found = {
        tuple(re.search(r"^Name: (.+)\nVersion: (.+)$", file.read_text(), re.MULTILINE).groups())
        for file in (root / SITE).glob("*.dist-info/METADATA")
    }
    installed = {(re.sub(r"[-_.]+", "-", name).lower(), version) for name, version in found}
    assert installed == locked | {("network-mapper", __version__)}


def test_what_is_in_it_is_listed_with_hashes(root, arch):
    listed = json.loads((root / "usr/share/network-mapper/packages.spdx.json").read_text())
    assert listed["spdxVersion"] == "SPDX-2.3"
    image_itself, *entries = listed["packages"]
    assert (image_itself["name"], image_itself["versionInfo"]) == ("network-mapper", __version__)
    parts = image_cache.fetched(arch)
    files = {file.name: file for kind in ("debs", "wheels") for file in (parts / kind).iterdir()}
    assert {entry["packageFileName"] for entry in entries} == set(files)
    for entry in entries:
        (checksum,) = entry["checksums"]
        content = files[entry["packageFileName"]].read_bytes()
        assert checksum == {"algorithm": "SHA256", "checksumValue": hashlib.sha256(content).hexdigest()}
    contained = {
        each["relatedSpdxElement"] for each in listed["relationships"] if each["relationshipType"] == "CONTAINS"
    }
    assert contained == {entry["SPDXID"] for entry in entries}


def test_each_debian_package_is_named_where_scanners_look(root):
    folder = root / "var/lib/dpkg/status.d"
    assert {file.name for file in folder.iterdir()} == set(packages.PACKAGES)
    for file in folder.iterdir():
        assert f"Package: {file.name}\n" in file.read_text()
    assert 'VERSION_ID="12"' in (root / "etc/os-release").read_text()


def test_this_project_is_known_to_python_and_brings_its_licence(root):
    (metadata,) = (root / rootfs.SITE).glob("network_mapper-*.dist-info")
    assert f"Version: {rootfs.version()}\n" in (metadata / "METADATA").read_text()
    assert (metadata / "licenses" / "LICENSE").read_bytes() == (rootfs.ROOT / "LICENSE").read_bytes()


def test_each_debian_package_brings_its_copyright(root):
    assert {file.parent.name for file in (root / "usr/share/doc").glob("*/copyright")} == set(packages.PACKAGES)


def test_the_labels_say_what_it_is(archive):
    config = image_archive.read(archive).config
    labels = config["config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.created"] == config["created"]


def test_nothing_in_it_tells_of_the_machine_that_built_it(root):
    told = [str(image.ROOT).encode(), str(Path.home() / ".cache").encode(), str(image_cache.folder()).encode()]
    for file in root.rglob("*"):
        if file.is_file() and not file.is_symlink():
            content = file.read_bytes()
            assert [word for word in told if word in content] == [], file
