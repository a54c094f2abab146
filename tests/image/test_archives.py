"""Archives as they are written and read, small ones made for tests, and what building says when it cannot."""

import json
import tarfile

import image
import image_archive
import image_cache
import pytest
from image_cache import packages, rootfs

CONFIG = {
    "architecture": "amd64",
    "os": "linux",
    "created": "2026-01-01T00:00:00Z",
    "config": {"Entrypoint": ["/below"], "Env": ["PATH=/usr/bin"], "User": "1:1"},
    "history": [],
}


def blob(content, folder):
    file = folder / "layer"
    file.write_bytes(content)
    return image_archive.file_blob(file)


@pytest.fixture
def base(tmp_path):
    """The archive of a small image."""
    layer = blob(image_archive.files_layer({"/below": b"below", "/both": b"below"}, 0), tmp_path)
    image_archive.write(tmp_path / "base.tar", "example.test/base:1", CONFIG, [layer])
    return tmp_path / "base.tar"


@pytest.fixture
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_an_archive_is_an_oci_layout_that_names_the_image(base):
    with tarfile.open(base) as archive:
        assert json.load(archive.extractfile("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
        (entry,) = json.load(archive.extractfile("index.json"))["manifests"]
    assert entry["annotations"]["io.containerd.image.name"] == "example.test/base:1"
    assert entry["annotations"]["org.opencontainers.image.ref.name"] == "1"
    assert entry["platform"] == {"architecture": "amd64", "os": "linux"}


def test_every_digest_in_an_archive_is_that_of_its_content(base):
    with tarfile.open(base) as archive:
        names = [name for name in archive.getnames() if name.startswith("blobs/")]
        assert len(names) == 3
        for name in names:
            content = archive.extractfile(name).read()
            assert image_archive._blob(content).digest == "sha256:" + name.rpartition("/")[2]


def test_an_image_below_is_kept_layer_by_layer(own_cache, base):
    found = image.layered(base, "example.test/upper:2", {"/upper": b"upper", "/both": b"upper"})
    one, two = image_archive.read(base), image_archive.read(found)
    assert two.reference == "example.test/upper:2"
    assert two.manifest["layers"][:-1] == one.manifest["layers"]
    assert len(two.config["rootfs"]["diff_ids"]) == 2
    assert two.config["config"] == one.config["config"]


def test_the_upper_layer_has_the_files_and_may_replace_some(own_cache, base, tmp_path):
    found = image.layered(base, "example.test/upper:2", {"/upper": b"upper", "/both": b"upper"})
    image_archive.unpack(found, tmp_path / "root")
    assert {file.name: file.read_text() for file in (tmp_path / "root").iterdir()} == {
        "below": "below",
        "both": "upper",
        "upper": "upper",
    }
    assert (tmp_path / "root/upper").stat().st_mode & 0o777 == 0o755


def test_a_derived_image_has_its_own_command_and_variables(own_cache, base):
    found = image.layered(base, "example.test/upper:2", {}, command=["/upper", "now"], env={"B": "2", "A": "1"})
    config = image_archive.read(found).config["config"]
    assert config == {"Entrypoint": ["/upper", "now"], "Env": ["PATH=/usr/bin", "A=1", "B=2"], "User": "1:1"}


def test_a_derived_image_is_made_once_for_the_same_content(own_cache, base):
    one, again = (image.layered(base, "example.test/upper:2", {"/upper": b"1"}) for _ in range(2))
    assert one == again
    assert image.layered(base, "example.test/upper:2", {"/upper": b"2"}) != one
    assert image.layered(base, "example.test/upper:2", {"/upper": b"1"}, ["/upper"]) != one


def test_few_derived_images_are_kept(own_cache, base, monkeypatch):
    monkeypatch.setattr(image_cache, "IN_USE_SECONDS", -1)
    for number in range(image.KEPT_LAYERED + 2):
        image.layered(base, f"example.test/upper:{number}", {})
    left = list((image_cache.folder() / "layered").iterdir())
    assert len([path for path in left if path.is_dir()]) == image.KEPT_LAYERED < 20
    assert len(left) == 2 * image.KEPT_LAYERED


def test_what_others_may_be_using_stays(own_cache, base):
    archives = [image.layered(base, f"example.test/upper:{number}", {}) for number in range(image.KEPT_LAYERED + 2)]
    assert all(archive.exists() for archive in archives)


def test_what_is_no_archive_is_said_to_be_none(tmp_path, capsys):
    (tmp_path / "file.tar").write_bytes(b"no")
    assert image.main(["inspect", str(tmp_path / "file.tar")]) == 1
    assert capsys.readouterr().err == f"Error: {tmp_path}/file.tar is no image archive that tools/image.py wrote\n"


def test_an_archive_tells_of_itself(base, capsys):
    assert image.main(["inspect", str(base)]) == 0
    shown = capsys.readouterr().out
    assert "example.test/base:1" in shown
    assert image_archive.read(base).digest in shown
    assert "linux/amd64" in shown


def test_without_apt_a_container_engine_is_named(own_cache, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert image.main(["build"]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("Error: dpkg is not here")
    assert "docker build -f image/Containerfile ." in said


def test_without_sources_of_debian_12_a_container_engine_is_named(own_cache, monkeypatch, tmp_path):
    monkeypatch.setattr(packages, "sources", lambda: "")
    with pytest.raises(packages.BuildError, match=r"has no sources of it.*docker build"):
        packages.download("amd64", ["zlib1g"], tmp_path)


DEB822 = """\
Types: deb deb-src
# a comment
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Architectures: amd64
Signed-By: /usr/share/keyrings/debian.gpg

Types: deb
URIs: http://elsewhere.test/tools
Suites: nodistro
Components: main
"""
WANTED = """\
Types: deb
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian.gpg
"""


@pytest.fixture
def apt(tmp_path):
    (tmp_path / "sources.list.d").mkdir()
    return tmp_path


def test_of_a_machines_sources_those_of_debian_12_are_taken_for_every_architecture(apt):
    (apt / "sources.list.d" / "debian.sources").write_text(DEB822)
    assert packages.sources(apt) == WANTED


def test_sources_in_the_older_form_are_understood(apt):
    (apt / "sources.list").write_text(
        "# all\ndeb [arch=amd64 signed-by=/k.gpg] http://mirror.test/debian bookworm main contrib\n"
        "deb http://elsewhere.test/engine bookworm stable\ndeb-src http://mirror.test/debian bookworm main\n"
    )
    assert packages.sources(apt) == (
        "Types: deb\nURIs: http://mirror.test/debian\nSuites: bookworm\nComponents: main\nSigned-By: /k.gpg\n"
    )


@pytest.mark.parametrize("changed", [("Enabled: no\n", ""), ("", "bookworm"), ("", "main")])
def test_sources_that_do_not_fit_are_left_out(apt, changed):
    first, gone = changed
    text = first + DEB822.partition("\n\n")[0]
    (apt / "sources.list.d" / "debian.sources").write_text(text.replace(gone, "x") if gone else text)
    assert packages.sources(apt) == ""


def test_a_folder_that_holds_something_is_not_built_into(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert rootfs.main(["fetch", "--arch", "amd64", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"Error: {tmp_path} is not empty; name a new folder\n"


def test_a_step_without_the_one_before_it_says_so(tmp_path, capsys):
    assert rootfs.main(["project", "--arch", "amd64", str(tmp_path / "none"), str(tmp_path / "root")]) == 1
    assert "has no packages.json: let `image/rootfs.py fetch` fill a new folder first" in capsys.readouterr().err
