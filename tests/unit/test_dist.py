"""What `make dist` makes, each part installed as its package manager does and tried."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Literal

import dist
import msgspec
import pytest
import pyz
import wheels
import yaml
from packaging.utils import parse_wheel_filename

from network_mapper import __version__
from network_mapper.model import Edge, Workload
from network_mapper.wire.api import MapDocument

BASE_URL = "https://releases.example.com/v1"
NOW = 1_800_000_000_000
LINUX = f"network-mapper-{__version__}-linux-{'arm64' if os.uname().machine == 'aarch64' else 'amd64'}.tar.gz"
BARE_PYTHON = str(Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}"))


@pytest.fixture(scope="module")
def fetched():
    """The wheels of a release; they are fetched by `make test` and `make cache`, as tests may have no network."""
    try:
        return wheels.folder()
    except subprocess.CalledProcessError:
        pytest.skip("the wheels of a release are not in the cache and cannot be fetched: make dist")


@pytest.fixture(scope="module")
def release(fetched, tmp_path_factory):
    """A release."""
    folder = tmp_path_factory.mktemp("release") / "dist"
    folder.mkdir()
    (folder / "network-mapper-0.0.0-linux-amd64.tar.gz").write_bytes(b"of an earlier release")
    dist.dist(folder, BASE_URL)
    return folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A saved map with one edge."""
    edge = Edge(Workload("cart", "shop", "Deployment"), Workload("redis", "shop", "StatefulSet"), None, 6379, "tcp", 4)
    file = tmp_path_factory.mktemp("saved") / "map.json"
    file.write_bytes(msgspec.json.encode(MapDocument("m", 1, NOW - 60_000, NOW, 0, 0, [edge])))
    return file


@pytest.fixture
def bare(tmp_path):
    """Run a program with an empty home, where `python3` is an interpreter without packages."""
    folder = tmp_path / "path"
    folder.mkdir()
    (folder / "python3").symlink_to(BARE_PYTHON)
    environ = {"HOME": str(tmp_path / "home"), "PATH": f"{folder}:/usr/bin:/bin", "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "home").mkdir()
    (tmp_path / "tmp").mkdir()

    def run(*command: str | Path, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(part) for part in command], env={**environ, **changes}, capture_output=True, text=True, check=False
        )

    run.home, run.temporary = tmp_path / "home", tmp_path / "tmp"
    return run


LISTED = "cart in namespace shop calls:\n  - redis\n"


def test_a_release_has_these_files(release):
    archives = {system.archive for system in dist.SYSTEMS}
    assert {file.name for file in release.iterdir()} == archives | {
        "SHA256SUMS",
        f"network-mapper-{__version__}.tgz",
        "network-mapper.json",
        "network-mapper.pyz",
        "network-mapper.rb",
        "network-mapper.yaml",
        f"network_mapper-{__version__}-py3-none-any.whl",
    }


def test_the_checksums_are_those_of_the_files(release):
    lines = [line.split("  ") for line in (release / "SHA256SUMS").read_text().splitlines()]
    assert {name for _, name in lines} == {file.name for file in release.iterdir()} - {"SHA256SUMS"}
    for digest, name in lines:
        assert hashlib.sha256((release / name).read_bytes()).hexdigest() == digest


def test_the_same_tree_gives_the_same_bytes(release, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    dist.dist(tmp_path / "again", BASE_URL)
    assert (tmp_path / "again" / "SHA256SUMS").read_text() == (release / "SHA256SUMS").read_text()


def test_files_carry_the_time_that_is_asked_for(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert dist.epoch() == 1_700_000_000


def test_nothing_in_a_release_tells_of_the_machine_that_packed_it(release):
    told = [str(dist.ROOT).encode(), str(Path.home() / ".cache").encode()]
    for file in release.iterdir():
        content = file.read_bytes()
        for word in told:
            assert word not in content, (file.name, word)
    with tarfile.open(release / LINUX) as archive:
        assert {(member.uid, member.gid, member.uname, member.gname) for member in archive} == {(0, 0, "", "")}


# The wheel


def test_the_wheel_works_in_an_empty_environment(release, fetched, saved, tmp_path):
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (wheel,) = release.glob("*.whl")
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", venv / "bin/python", "install", "--quiet", "--no-index",
         "--find-links", fetched, wheel],
        check=True,
    )  # fmt: skip
    command = [venv / "bin/network-mapper", "list", "--map-file", saved]
    assert subprocess.run(command, capture_output=True, check=True, text=True).stdout == LISTED
    command = [venv / "bin/kubectl-network_mapper", "list", "--help"]
    assert (
        "Usage: kubectl network-mapper list"
        in subprocess.run(command, capture_output=True, check=True, text=True).stdout
    )


# One file for all systems


def test_every_system_has_every_package_for_every_python(release):
    with zipfile.ZipFile(release / "network-mapper.pyz") as archive:
        index = json.loads(archive.read("index.json"))
        assert index["targets"].keys() == {
            f"{platform}-cp{major}{minor}" for platform, (major, minor) in wheels.targets()
        }
        for names in index["targets"].values():
            packages = [parse_wheel_filename(name)[0] for name in names]
            assert sorted(packages) == sorted(["network-mapper", *wheels.needed()])
        for name, digest in index["wheels"].items():
            assert hashlib.sha256(archive.read(f"wheels/{name}")).hexdigest() == digest


def test_the_wheel_that_fits_a_system_best_is_chosen(monkeypatch, tmp_path):
    monkeypatch.setattr(wheels, "needed", lambda: ["p"])
    for tag in ("py3-none-any", "cp311-abi3-manylinux_2_17_x86_64", "cp311-cp311-manylinux_2_17_x86_64",
                "cp312-cp312-manylinux_2_17_x86_64", "cp311-cp311-win_amd64"):  # fmt: skip
        (tmp_path / f"p-1-{tag}.whl").touch()

    def chosen(platform: str, python: tuple[int, int]) -> str:
        (wheel,) = wheels.choose(tmp_path, platform, python)
        return wheel.stem.removeprefix("p-1-")

    assert chosen("linux-gnu-x86_64", (3, 11)) == "cp311-cp311-manylinux_2_17_x86_64"
    assert chosen("linux-gnu-x86_64", (3, 13)) == "cp311-abi3-manylinux_2_17_x86_64"
    assert chosen("windows-amd64", (3, 11)) == "cp311-cp311-win_amd64"
    assert chosen("darwin-arm64", (3, 11)) == "py3-none-any"


def test_the_wheels_are_those_of_the_lock(release):
    lock = wheels.LOCK.read_text()
    with zipfile.ZipFile(release / "network-mapper.pyz") as archive:
        index = json.loads(archive.read("index.json"))
    for name, digest in index["wheels"].items():
        assert name.startswith("network_mapper-") or f"sha256:{digest}" in lock


def test_the_one_file_lists_a_map_with_a_bare_python(release, saved, bare):
    result = bare("python3", "-I", release / "network-mapper.pyz", "list", "--map-file", saved)
    assert (result.returncode, result.stdout, result.stderr) == (0, LISTED, "")
    assert bare(release / "network-mapper.pyz", "list", "--map-file", saved).stdout == LISTED


def test_the_one_file_is_quick_when_it_is_unpacked(release, bare):
    command = [release / "network-mapper.pyz", "--help"]
    assert bare(*command).returncode == 0
    costs = []
    for _ in range(5):
        before = os.times()
        assert bare(*command).returncode == 0
        after = os.times()
        costs.append(after.children_user - before.children_user + after.children_system - before.children_system)
    assert min(costs) < 0.2


# The kubectl plugin


class Expression(msgspec.Struct, forbid_unknown_fields=True):
    key: Literal["os", "arch"]
    operator: Literal["In", "NotIn"]
    values: list[str]


class Selector(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    match_labels: dict[Literal["os", "arch"], str] = {}
    match_expressions: list[Expression] = []


class Copy(msgspec.Struct, forbid_unknown_fields=True, rename={"from_": "from"}):
    from_: str
    to: str


class Platform(msgspec.Struct, forbid_unknown_fields=True):
    selector: Selector
    uri: str
    sha256: str
    bin: str
    files: list[Copy] = []


class Spec(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    version: str
    homepage: str
    short_description: str
    platforms: list[Platform]
    description: str = ""
    caveats: str = ""


class Metadata(msgspec.Struct, forbid_unknown_fields=True):
    name: str


class Plugin(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """A manifest, as krew's documentation for developers describes it."""

    api_version: Literal["krew.googlecontainertools.github.com/v1alpha2"]
    kind: Literal["Plugin"]
    metadata: Metadata
    spec: Spec


@pytest.fixture
def plugin(release):
    return msgspec.convert(yaml.safe_load((release / "network-mapper.yaml").read_text()), Plugin)


def test_the_manifest_of_the_plugin_keeps_the_rules_of_krew(plugin, release):
    assert re.fullmatch(r"[\w-]+", plugin.metadata.name)
    assert not plugin.metadata.name.startswith("kubectl")
    assert re.fullmatch(r"v\d+\.\d+\.\d+(-[\w.]+)?", plugin.spec.version)
    assert len(plugin.spec.short_description) <= 50
    assert "\n" not in plugin.spec.short_description
    for platform in plugin.spec.platforms:
        name = platform.uri.removeprefix(f"{BASE_URL}/")
        assert name.endswith((".tar.gz", ".zip"))
        assert platform.sha256 == hashlib.sha256((release / name).read_bytes()).hexdigest()
        assert ".." not in platform.bin
        assert platform.bin.endswith(".exe") == (platform.selector.match_labels["os"] == "windows")


def test_no_system_matches_two_platforms(plugin):
    selected = [tuple(platform.selector.match_labels.items()) for platform in plugin.spec.platforms]
    assert len(set(selected)) == len(selected) == len(dist.SYSTEMS)


def install_as_krew_does(platform: Platform, archive: Path, at: Path) -> Path:
    """Unpack the archive aside, copy the files that are named, and link the program under the plugin's name."""
    aside, store = at / "download", at / "store" / "network-mapper" / "v1"
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(aside)  # noqa: S202  our own archive
    else:
        with tarfile.open(archive) as packed:
            packed.extractall(aside, filter="data")
    for copy in platform.files:
        found = list(aside.glob(copy.from_))
        assert found, copy.from_
        for file in found:
            target = store / copy.to / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(file, target)
    program = store / platform.bin
    assert program.is_file()
    link = at / "bin" / "kubectl-network_mapper"
    link.parent.mkdir()
    link.symlink_to(program)
    return link


def test_the_plugin_works_as_krew_installs_it(plugin, release, saved, bare, tmp_path):
    (platform,) = [platform for platform in plugin.spec.platforms if platform.uri == f"{BASE_URL}/{LINUX}"]
    link = install_as_krew_does(platform, release / LINUX, tmp_path)
    assert bare(link, "list", "--map-file", saved).stdout == LISTED
    assert "Usage: kubectl network-mapper list" in bare(link, "list", "--help").stdout


@pytest.mark.parametrize("system", dist.SYSTEMS, ids=lambda system: f"{system.os}-{system.arch}")
def test_each_archive_holds_its_system_alone(plugin, release, system, tmp_path):
    (platform,) = [found for found in plugin.spec.platforms if found.uri == f"{BASE_URL}/{system.archive}"]
    link = install_as_krew_does(platform, release / system.archive, tmp_path)
    with zipfile.ZipFile(link.resolve()) as archive:
        targets = json.loads(archive.read("index.json"))["targets"]
    assert {target.rpartition("-")[0] for target in targets} == set(system.platforms)


def test_the_archives_hold_pages_and_completions(release):
    with tarfile.open(release / LINUX) as archive:
        names = archive.getnames()
    assert {"LICENSE", "man/network-mapper.1", "man/network-mapper-list.1"} <= set(names)
    assert {f"completions/{name}" for name in dist.SHELLS.values()} <= set(names)


def test_the_program_for_windows_is_a_launcher_with_the_archive_behind_it(release, fetched, tmp_path):
    (system,) = [system for system in dist.SYSTEMS if system.os == "windows"]
    with zipfile.ZipFile(release / system.archive) as archive:
        program = archive.read("network-mapper.exe")
    launcher = pyz.launcher(fetched)
    assert launcher[:2] == b"MZ"
    assert launcher[int.from_bytes(launcher[0x3C:0x40], "little") :][:6] == b"PE\0\0\x64\x86"  # x86-64
    assert program.startswith(launcher + b"#!/usr/bin/env python.exe\r\nPK")
    # The launcher finds the line by reckoning from the end of the archive: its offsets begin with the archive.
    end = program.rindex(b"PK\5\6")
    size, offset = (int.from_bytes(program[end + at : end + at + 4], "little") for at in (12, 16))
    assert program[end - size - offset :][:4] == b"PK\3\4"
    assert program[: end - size - offset].endswith(b"python.exe\r\n")


# Homebrew and Scoop

FORMULA = """
class Formula
  def self.method_missing(name, *words) = ((@@told ||= []) << [name, *words])
  def self.respond_to_missing?(*) = true
  def self.on_macos = (yield if ARGV[1] == "macos")
  def self.on_linux = (yield if ARGV[1] == "linux")
  def self.on_arm = (yield if ARGV[2] == "arm")
  def self.on_intel = (yield if ARGV[2] == "intel")
  def self.test = nil
  def self.told = @@told
end
load ARGV[0]
Formula.told.each { |words| puts words.join(" ") }
raise "no install" unless NetworkMapper.method_defined?(:install)
"""


@pytest.mark.parametrize(
    ("system", "arch", "archive"),
    [
        ("macos", "arm", "darwin-arm64"),
        ("macos", "intel", "darwin-amd64"),
        ("linux", "arm", "linux-arm64"),
        ("linux", "intel", "linux-amd64"),
    ],
)
def test_the_formula_names_the_archive_of_each_system(release, system, arch, archive):
    if not shutil.which("ruby"):
        pytest.skip("ruby is not installed")
    formula = release / "network-mapper.rb"
    command = ["ruby", "-w", "-e", FORMULA, formula, system, arch]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    told = dict(line.split(" ", 1) for line in process.stdout.splitlines())
    name = f"network-mapper-{__version__}-{archive}.tar.gz"
    assert told["url"] == f"{BASE_URL}/{name}"
    assert told["sha256"] == hashlib.sha256((release / name).read_bytes()).hexdigest()
    assert told["version"] == __version__
    assert told["license"] == "Apache-2.0"


def test_the_formula_installs_what_the_archives_hold(release):
    formula = (release / "network-mapper.rb").read_text()
    with tarfile.open(release / LINUX) as archive:
        names = set(archive.getnames())
    installed = set(re.findall(r'install "([^"]+)"', formula))
    assert installed == {"network-mapper", "completions/network-mapper.bash", "completions/_network-mapper",
                         "completions/network-mapper.fish"}  # fmt: skip
    assert installed <= names


def test_what_the_formula_writes_starts_the_program(release, saved, bare, tmp_path):
    formula = (release / "network-mapper.rb").read_text()
    script = re.search(r"<<~SH\n(.*?)\n +SH\n", formula, re.DOTALL).group(1)
    with tarfile.open(release / LINUX) as archive:
        archive.extractall(tmp_path / "libexec", filter="data")
    wrapper = tmp_path / "network-mapper"
    lines = [line.strip() for line in script.splitlines()]
    text = (
        "\n".join(lines)
        .replace("#{python}", BARE_PYTHON)
        .replace("#{libexec}/#{name}", f"{tmp_path}/libexec/network-mapper")
    )
    wrapper.write_text(text + "\n")
    wrapper.chmod(0o755)
    assert bare(wrapper, "list", "--map-file", saved).stdout == LISTED


class Architecture(msgspec.Struct, forbid_unknown_fields=True):
    url: str
    hash: str


class Scoop(msgspec.Struct, forbid_unknown_fields=True):
    """A manifest, with those of its keys that are used."""

    version: str
    description: str
    homepage: str
    license: str
    depends: str
    architecture: dict[Literal["64bit", "arm64", "32bit"], Architecture]
    bin: list[str | list[str]]


def test_the_manifest_of_scoop_names_the_archive_and_what_is_in_it(release):
    manifest = msgspec.json.decode((release / "network-mapper.json").read_bytes(), type=Scoop)
    at = manifest.architecture["64bit"]
    name = at.url.removeprefix(f"{BASE_URL}/")
    assert at.hash == hashlib.sha256((release / name).read_bytes()).hexdigest()
    with zipfile.ZipFile(release / name) as archive:
        names = archive.namelist()
    programs = [entry if isinstance(entry, str) else entry[0] for entry in manifest.bin]
    assert set(programs) <= set(names)
    assert manifest.bin[1][1] == "kubectl-network_mapper"
    assert manifest.version == __version__


def test_a_base_url_may_end_with_a_slash(monkeypatch, tmp_path):
    taken = []
    monkeypatch.setattr(dist, "dist", lambda *given: taken.append(given))
    assert dist.main(["--base-url", f"{BASE_URL}/", "--output", str(tmp_path)]) == 0
    assert taken == [(tmp_path, BASE_URL)]
