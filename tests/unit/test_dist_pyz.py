"""How `network-mapper.pyz` unpacks itself: once, whole, and only where nobody else can put anything."""

import hashlib
import io
import json
import os
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import pyz
import wheels

BARE_PYTHON = str(Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}"))
TARGET_TAG = f"cp{sys.version_info.major}{sys.version_info.minor}"


def wheel(text: str) -> bytes:
    """A wheel with a program that says something."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("network_mapper/__init__.py", "")
        source = f"import sys\ndef start():\n    print({text!r}, *sys.argv[1:])\n    print(__file__)\n    return 7\n"
        archive.writestr("network_mapper/__main__.py", source)
    return content.getvalue()


def starter() -> ModuleType:
    """The module that an archive starts with."""
    sys.path.insert(0, str(pyz.TEMPLATES))
    try:
        import pyz_start
    finally:
        sys.path.remove(str(pyz.TEMPLATES))
    return pyz_start


def platform() -> str:
    return starter().platform()


@pytest.mark.parametrize(
    ("system", "machine", "version", "expected"),
    [
        ("darwin", "arm64", "", "darwin-arm64"),
        ("darwin", "x86_64", "", "darwin-x86_64"),
        ("win32", "", "3.13.0 (tags/v3.13.0) [MSC v.1941 64 bit (AMD64)]", "windows-amd64"),
        ("win32", "", "3.13.0 (tags/v3.13.0) [MSC v.1941 32 bit (Intel)]", "windows-other"),
        ("win32", "", "3.13.0 (tags/v3.13.0) [MSC v.1941 64 bit (ARM64)]", "windows-other"),
    ],
)
def test_other_systems_are_named_as_the_index_names_them(monkeypatch, system, machine, version, expected):
    start = starter()
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(sys, "version", version)
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine=machine))
    assert start.platform() == expected
    assert expected in wheels.PLATFORMS or expected == "windows-other"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("glibc 2.36", "linux-gnu-x86_64"), (None, "linux-musl-x86_64"), (ValueError(), "linux-musl-x86_64")],
)
def test_which_c_library_linux_has(monkeypatch, answer, expected):
    def confstr(_: str) -> str | None:
        if isinstance(answer, Exception):
            raise answer
        return answer

    start = starter()
    monkeypatch.setattr(os, "confstr", confstr)
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine="x86_64"))
    assert start.platform() == expected
    assert expected in wheels.PLATFORMS


@pytest.mark.parametrize(
    ("system", "variables", "expected"),
    [
        ("linux", {"HOME": "/h"}, "/h/.cache/network-mapper/pyz"),
        ("linux", {"HOME": "/h", "XDG_CACHE_HOME": "/c"}, "/c/network-mapper/pyz"),
        ("darwin", {"HOME": "/h"}, "/h/Library/Caches/network-mapper/pyz"),
        ("win32", {"LOCALAPPDATA": "/l", "TEMP": "/t"}, "/l/network-mapper/pyz"),
        ("win32", {"TEMP": "/t"}, "/t/network-mapper"),
    ],
)
def test_where_each_system_keeps_what_is_unpacked(monkeypatch, system, variables, expected):
    for name in ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA", "TEMP", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    start = starter()
    monkeypatch.setattr(sys, "platform", system)
    assert start.places()[0] == expected


def archive(at: Path, text: str, *, digest: str = "", targets: list[str] | None = None) -> Path:
    """An archive with one wheel, for this system and Python unless others are named."""
    content = wheel(text)
    names = [f"{platform()}-{TARGET_TAG}"] if targets is None else targets
    index = {
        "wheels": {"a.whl": digest or hashlib.sha256(content).hexdigest()},
        "targets": {name: ["a.whl"] for name in names},
    }
    with zipfile.ZipFile(at, "w") as packed:
        for module in ("main", "start", "unpack"):
            source = (pyz.TEMPLATES / f"pyz_{module}.py").read_bytes()
            build = hashlib.sha256(text.encode()).hexdigest()[:16].encode()
            packed.writestr(
                "__main__.py" if module == "main" else f"pyz_{module}.py", source.replace(b"@BUILD@", build)
            )
        packed.writestr("index.json", json.dumps(index))
        packed.writestr("wheels/a.whl", content)
    return at


@pytest.fixture
def folders(tmp_path):
    """A home and a folder for temporary files."""
    (tmp_path / "home").mkdir()
    (tmp_path / "tmp").mkdir()
    return tmp_path


@pytest.fixture
def start(folders):
    """Start an archive; returns the process."""

    def run(file: Path, *args: str, **changes: str) -> subprocess.CompletedProcess[str]:
        environ = {"HOME": str(folders / "home"), "TMPDIR": str(folders / "tmp"), "PATH": os.defpath, **changes}
        return subprocess.run(
            [BARE_PYTHON, "-I", file, *args], env=environ, capture_output=True, text=True, check=False
        )

    return run


def cache(folders: Path) -> Path:
    return folders / "home" / ".cache" / "network-mapper" / "pyz"


def unpacked(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def test_it_is_unpacked_once_and_then_started_from_there(folders, start):
    file = archive(folders / "a.pyz", "hello")
    first = start(file, "x")
    assert (first.returncode, first.stderr) == (7, "")
    assert first.stdout.startswith("hello x\n")
    (made,) = unpacked(cache(folders))
    changed = made.stat().st_mtime_ns
    assert start(file, "x") == first or start(file, "x").stdout == first.stdout
    assert unpacked(cache(folders)) == [made]
    assert made.stat().st_mtime_ns >= changed
    assert str(made) in first.stdout


def test_other_archives_and_other_systems_have_other_folders(folders, start):
    start(archive(folders / "a.pyz", "one"))
    start(archive(folders / "b.pyz", "two"))
    assert len(unpacked(cache(folders))) == 2
    assert all(f"{platform()}-{TARGET_TAG}" in path.name for path in unpacked(cache(folders)))


def test_another_loader_is_another_build(monkeypatch, tmp_path):
    def build() -> bytes:
        with zipfile.ZipFile(io.BytesIO(pyz.build(tmp_path / "none.whl", tmp_path, 0, []))) as archive:
            return next(line for line in archive.read("pyz_start.py").splitlines() if line.startswith(b"BUILD = "))

    first = build()
    for source in pyz.TEMPLATES.glob("pyz_*.py"):
        (tmp_path / source.name).write_bytes(source.read_bytes() + (b"# another\n" if "unpack" in source.name else b""))
    monkeypatch.setattr(pyz, "TEMPLATES", tmp_path)
    assert build() != first


def test_many_starts_at_once_leave_one_whole_folder(folders, start):
    file = archive(folders / "a.pyz", "hello")
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: start(file), range(8)))
    assert {result.returncode for result in results} == {7}, [result.stderr for result in results]
    assert len(list(cache(folders).iterdir())) == 1


def test_a_half_unpacked_folder_is_never_used(folders, start):
    file = archive(folders / "a.pyz", "hello")
    start(file)
    (made,) = unpacked(cache(folders))
    (made / ".complete").unlink()
    (made / "network_mapper" / "__main__.py").unlink()
    assert start(file).stdout.startswith("hello")


def test_a_damaged_archive_is_one_line(folders, start):
    result = start(archive(folders / "a.pyz", "hello", digest="0" * 64))
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "Error: a.whl in this archive is damaged. Download the archive again.\n"
    assert not list(cache(folders).iterdir())


def test_a_python_that_it_is_not_for_is_one_line(folders, start):
    result = start(archive(folders / "a.pyz", "hello", targets=["windows-amd64-cp311"]))
    assert (result.returncode, result.stdout) == (1, "")
    assert f"a.pyz carries nothing for {platform()}-{TARGET_TAG}; it knows windows-amd64-cp311." in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("home", ["", "relative"])
def test_without_a_home_a_folder_for_temporary_files_is_used(folders, start, home):
    file = archive(folders / "a.pyz", "hello")
    assert start(file, HOME=home).returncode == 7
    (made,) = (folders / "tmp").iterdir()
    assert made.name == f"network-mapper-{os.getuid()}"
    assert made.stat().st_mode & 0o777 == 0o700
    assert str(made) in start(file, HOME=home).stdout


def test_a_home_that_cannot_be_written_to_is_passed_over(folders, start):
    file = archive(folders / "a.pyz", "hello")
    (folders / "home" / ".cache").write_text("no folder")  # as root, a mode would stop nobody
    result = start(file)
    assert (result.returncode, result.stderr) == (7, "")
    assert str(folders / "tmp") in result.stdout


def test_where_nothing_can_be_kept_it_is_unpacked_for_one_run(folders, start):
    file = archive(folders / "a.pyz", "hello")
    (folders / "home" / ".cache").write_text("no folder")
    (folders / "tmp" / f"network-mapper-{os.getuid()}").write_text("no folder")
    assert start(file).returncode == 7
    assert [path.name for path in (folders / "tmp").iterdir()] == [f"network-mapper-{os.getuid()}"]


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_a_folder_that_others_can_write_to_is_not_used(folders, start, mode):
    place = folders / "tmp" / f"network-mapper-{os.getuid()}"
    place.mkdir()
    place.chmod(mode)
    result = start(archive(folders / "a.pyz", "hello"), HOME="")
    assert result.returncode == 7
    assert f"{place}{os.sep}" not in result.stdout  # the one of this run may be called network-mapper-0…


def test_a_folder_of_somebody_else_is_not_used(folders, monkeypatch):
    assert starter().ours(str(folders))
    monkeypatch.setattr(os, "getuid", lambda: folders.stat().st_uid + 1)
    assert not starter().ours(str(folders))


def test_a_link_is_not_followed(folders, start):
    elsewhere = folders / "elsewhere"
    elsewhere.mkdir()
    (folders / "tmp" / f"network-mapper-{os.getuid()}").symlink_to(elsewhere)
    assert start(archive(folders / "a.pyz", "hello"), HOME="").returncode == 7
    assert not list(elsewhere.iterdir())


def test_old_versions_are_removed(folders, start):
    for number in range(5):
        start(archive(folders / "a.pyz", f"version {number}"))
        (newest,) = [
            path
            for path in unpacked(cache(folders))
            if hashlib.sha256(f"version {number}".encode()).hexdigest()[:16] in path.name
        ]
        os.utime(newest / ".complete", (time.time() - 100 + number, time.time() - 100 + number))
    assert len(unpacked(cache(folders))) == 3
    assert newest in unpacked(cache(folders))


def test_a_version_that_was_not_started_for_a_month_is_removed(folders, start):
    start(archive(folders / "a.pyz", "old"))
    (old,) = unpacked(cache(folders))
    long_ago = time.time() - 40 * 86_400
    os.utime(old / ".complete", (long_ago, long_ago))
    start(archive(folders / "b.pyz", "new"))
    assert old not in unpacked(cache(folders))


def test_a_start_tells_that_a_version_is_still_used(folders, start):
    file = archive(folders / "a.pyz", "hello")
    start(file)
    (made,) = unpacked(cache(folders))
    os.utime(made / ".complete", (0, 0))
    start(file)
    assert time.time() - (made / ".complete").stat().st_mtime < 3600


def test_what_an_interrupted_run_left_is_removed_after_a_day(folders, start):
    left = cache(folders) / ".making-x"
    left.mkdir(parents=True, mode=0o700)
    cache(folders).chmod(0o700)
    start(archive(folders / "a.pyz", "one"))
    assert left.exists()
    os.utime(left, (0, 0))
    start(archive(folders / "b.pyz", "two"))
    assert not left.exists()


def test_an_older_python_is_told_so(folders):
    source = (pyz.TEMPLATES / "pyz_main.py").read_text()
    code = f"import sys\nsys.version_info = (2, 7)\nsys.argv = ['network-mapper.pyz']\nexec({source!r})"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 1
    assert process.stderr.startswith("Error: network-mapper needs Python 3.11 or newer, and this is ")
    assert process.stderr.endswith("start it with: python3.11 network-mapper.pyz\n")
