"""The steps of putting an image together, each by itself on a few files; nothing is fetched and nothing compiled."""

import json
import os
import tarfile
import zipfile

import image_archive
import image_cache
import pytest
from image_cache import packages, rootfs
from rootfs_packages import Package

import rootfs_sbom  # isort: skip  from the folder that image_cache put on the path

DAY = 86_400
DEB = Package("deb", "libc6", "2.36-9+deb12u10", "arm64", "ab" * 32, "libc6.deb")
WHEEL = Package("pypi", "msgspec", "0.19.0", "", "cd" * 32, "msgspec.whl")


@pytest.fixture
def root(tmp_path):
    """A few files, whoever made them, of any time and mode."""
    folder = tmp_path / "root"
    for name in ("data", "tmp", "usr/bin"):
        (folder / name).mkdir(parents=True)
    (folder / "usr/bin/program").write_text("program")
    (folder / "usr/bin/program").chmod(0o770)
    (folder / "usr/notes").write_text("notes")
    (folder / "usr/notes").chmod(0o4666)
    (folder / "bin").symlink_to("usr/bin")
    return folder


def entries(layer):
    with tarfile.open(layer) as archive:
        return archive.getmembers()


# Modes, owners and times


def test_what_is_finished_has_one_time_and_normal_modes(root):
    rootfs.finish(root)
    found = {path.relative_to(root).as_posix(): path.lstat() for path in root.rglob("*")}
    assert {status.st_mtime for status in found.values()} == {rootfs.TIME}
    modes = {name: status.st_mode & 0o7777 for name, status in found.items() if name != "bin"}
    assert modes == {
        "data": 0o755, "tmp": 0o1777, "usr": 0o755, "usr/bin": 0o755, "usr/bin/program": 0o755, "usr/notes": 0o644,
    }  # fmt: skip


def test_a_link_to_what_is_not_in_the_image_is_dated_too(root, tmp_path):
    (tmp_path / "outside").write_text("")
    os.utime(tmp_path / "outside", (DAY, DAY))
    (root / "link").symlink_to(tmp_path / "outside")
    rootfs.finish(root)
    assert (root / "link").lstat().st_mtime == rootfs.TIME
    assert (tmp_path / "outside").stat().st_mtime == DAY


def test_a_layer_is_sorted_dated_alike_and_roots_but_for_what_is_somebody_elses(root, tmp_path):
    image_archive.pack_layer(root, tmp_path / "layer.tar", {"data": 65532}, DAY)
    found = entries(tmp_path / "layer.tar")
    assert [entry.name for entry in found] == [
        "bin", "data", "tmp", "usr", "usr/bin", "usr/bin/program", "usr/notes",
    ]  # fmt: skip
    assert {entry.mtime for entry in found} == {DAY}
    assert {(entry.uname, entry.gname) for entry in found} == {("", "")}
    assert {entry.name: (entry.uid, entry.gid) for entry in found if entry.uid} == {"data": (65532, 65532)}


def test_the_folder_for_the_map_is_the_users_that_the_image_runs_as():
    assert {"data": rootfs.USER} == rootfs.OWNERS
    assert rootfs.MODES == {"tmp": 0o1777}


# What is taken of packages


def test_a_file_that_two_packages_bring_is_an_error(tmp_path):
    rootfs._write(tmp_path / "a", b"one")
    with pytest.raises(packages.BuildError, match="two packages bring"):
        rootfs._write(tmp_path / "a", b"two")


@pytest.mark.parametrize(
    ("package", "path", "wanted"),
    [
        ("libc6", "usr/share/doc/libc6/copyright", True),
        ("gcc-12-base", "usr/share/doc/gcc-12-base/copyright", True),
        ("libc6", "usr/share/doc/libc6/changelog.Debian.gz", False),
        ("libc6", "usr/lib/x86_64-linux-gnu/libc.so.6", True),
        ("libc6", "usr/lib/x86_64-linux-gnu/gconv/UTF-16.so", False),
        ("base-files", "usr/lib/os-release", True),
        ("base-files", "usr/bin/anything", False),
    ],
)
def test_of_a_package_its_licence_and_what_runs_is_taken(package, path, wanted):
    assert rootfs._wanted(path, package) == wanted


def wheel(folder, *names):
    file = folder / "some-1-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return file


def test_of_a_wheel_the_modules_are_taken(tmp_path):
    names = [
        "some/a.py",
        "some/a.pyx",
        "some-1.data/purelib/b.py",
        "some-1.data/scripts/run",
        "some-1.dist-info/RECORD",
    ]
    rootfs.unpack_wheel(wheel(tmp_path, *names), tmp_path / "root")
    found = {
        path.relative_to(tmp_path / "root").as_posix() for path in (tmp_path / "root").rglob("*") if path.is_file()
    }
    assert found == {f"{rootfs.SITE}/some/a.py", f"{rootfs.SITE}/b.py"}


@pytest.mark.parametrize("name", ["../outside.py", "some/../../outside.py", "/outside.py", "some-1.data/data/etc/x"])
def test_a_wheel_that_would_write_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(packages.BuildError, match="for which the image has no place"):
        rootfs.unpack_wheel(wheel(tmp_path, name), tmp_path / "root")
    assert not list(tmp_path.rglob("outside.py"))


def test_authorities_are_one_file_in_the_order_of_their_names(tmp_path):
    folder = tmp_path / "usr/share/ca-certificates/mozilla"
    folder.mkdir(parents=True)
    (tmp_path / "usr/lib").mkdir()
    for name in ("b", "a", "c"):
        (folder / f"{name}.crt").write_text(f"{name} without an end of line" if name == "a" else f"{name}\n\n")
    rootfs._certificates(tmp_path)
    bundle = (tmp_path / "etc/ssl/certs/ca-certificates.crt").read_text()
    assert bundle == "a without an end of line\nb\nc\n"
    assert str((tmp_path / "usr/lib/ssl/cert.pem").readlink()) == "/etc/ssl/certs/ca-certificates.crt"
    assert not folder.exists()


def test_names_are_asked_for_in_files_and_then_in_dns():
    assert "hosts: files dns\n" in rootfs.FILES["etc/nsswitch.conf"]


def test_neither_the_environment_nor_the_working_directory_says_what_is_imported():
    assert rootfs.LAUNCHER.splitlines()[0] == "#!/usr/bin/python3.11 -I"


# The list of what is in it


def test_the_list_names_each_package_with_its_hash_and_address():
    listed = json.loads(rootfs_sbom.document("1.2.3", "arm64", [DEB, WHEEL], DAY))
    assert listed["creationInfo"]["created"] == "1970-01-02T00:00:00Z"
    _, deb, pypi = listed["packages"]
    assert deb["checksums"] == [{"algorithm": "SHA256", "checksumValue": "ab" * 32}]
    (reference,) = deb["externalRefs"]
    assert reference["referenceLocator"] == "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=arm64&distro=debian-12"
    assert pypi["externalRefs"][0]["referenceLocator"] == "pkg:pypi/msgspec@0.19.0"
    contained = [one["relatedSpdxElement"] for one in listed["relationships"] if one["relationshipType"] == "CONTAINS"]
    assert contained == [deb["SPDXID"], pypi["SPDXID"]]


# Archives and the cache


def test_layers_are_named_from_the_lowest_on_and_labels_are_notes_of_the_manifest(tmp_path):
    blobs = []
    for number in range(2):
        (tmp_path / str(number)).write_bytes(image_archive.files_layer({f"/{number}": b""}, 0))
        blobs.append(image_archive.file_blob(tmp_path / str(number)))
    config = {"architecture": "amd64", "os": "linux", "config": {"Labels": {"a": "b"}}}
    made = image_archive.write(tmp_path / "made.tar", "r/m:1", config, blobs)
    assert made.config["rootfs"]["diff_ids"] == [layer["digest"] for layer in made.manifest["layers"]]
    assert made.manifest["layers"][0]["digest"] == blobs[0].digest
    assert made.manifest["annotations"] == {"a": "b"}


def test_an_archive_that_cannot_be_written_leaves_nothing(tmp_path):
    gone = image_archive.Blob("sha256:" + "0" * 64, 1, tmp_path / "gone")
    config = {"architecture": "amd64", "os": "linux", "config": {}}
    with pytest.raises(FileNotFoundError):
        image_archive.write(tmp_path / "made.tar", "r/m:1", config, [gone])
    assert list(tmp_path.iterdir()) == []


def test_those_that_were_used_last_are_kept(tmp_path):
    for number in range(4):
        (tmp_path / f"thing-{number}").mkdir()
        os.utime(tmp_path / f"thing-{number}", (DAY * number, DAY * number))
    image_cache.keep_newest(tmp_path / "thing-0", "thing-*", 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["thing-0", "thing-3"]
