import os
import stat
import sys

import pytest

from network_mapper.cli import outputs
from network_mapper.cli.errors import CliError


def is_old(head: bytes) -> bool:
    return head.startswith(b"old")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_new_file_is_written_and_nothing_else(tmp_path):
    outputs.write_file(tmp_path / "a", b"1\r\n2\n")
    assert (tmp_path / "a").read_bytes() == b"1\r\n2\n"
    assert names(tmp_path) == ["a"]


@pytest.mark.skipif(os.name == "nt", reason="rights of POSIX")
def test_a_new_file_has_the_rights_that_files_have_here(tmp_path):
    (tmp_path / "usual").write_bytes(b"")
    outputs.write_file(tmp_path / "a", b"")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("write", [outputs.check, lambda path, **more: outputs.write_file(path, b"new", **more)])
def test_a_file_of_another_kind_stays(tmp_path, write):
    (tmp_path / "a").write_bytes(b"precious")
    with pytest.raises(CliError, match=r"a exists already\. Name another file, or replace it with --force\.$"):
        write(tmp_path / "a", force=False, ours=is_old)
    assert (tmp_path / "a").read_bytes() == b"precious"


def test_force_replaces_any_file(tmp_path):
    (tmp_path / "a").write_bytes(b"precious")
    outputs.write_file(tmp_path / "a", b"new", force=True)
    assert (tmp_path / "a").read_bytes() == b"new"


@pytest.mark.parametrize("there", [b"old and so on", b""])
def test_an_earlier_output_and_an_empty_file_are_replaced(tmp_path, there):
    (tmp_path / "a").write_bytes(there)
    outputs.write_file(tmp_path / "a", b"new", ours=is_old)
    assert (tmp_path / "a").read_bytes() == b"new"


@pytest.mark.skipif(os.name == "nt", reason="rights of POSIX")
def test_a_replaced_file_keeps_its_rights(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "a").chmod(0o640)
    outputs.write_file(tmp_path / "a", b"new", ours=is_old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "link").symlink_to("a")
    outputs.write_file(tmp_path / "link", b"new", ours=is_old)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "a").read_bytes() == b"new"


@pytest.mark.skipif(os.name == "nt", reason="no such device on Windows")
def test_what_is_no_plain_file_is_written_to_and_stays_what_it_is(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    # A pipe, and not the system's null device: whoever runs this as root would lose that to a fault.
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    outputs.write_file(tmp_path / "pipe", b"new")
    assert os.read(reader, 10) == b"new"
    os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_folder_of_files_without_room_leaves_nothing(tmp_path, monkeypatch):
    opened = outputs.os.open
    tmp = tmp_path / "new"

    def full(path, *args):
        if len(names(tmp)) == 1:
            raise OSError(28, "No space left on device")
        return opened(path, *args)

    monkeypatch.setattr(outputs.os, "open", full)
    with pytest.raises(CliError, match=r"cannot write .*b: No space left on device"):
        outputs.write_folder(tmp, {"a": b"1", "b": b"2"})
    assert not tmp.exists()


def test_a_folder_of_files_without_room_keeps_the_earlier_ones(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"old")
    opened = outputs.os.open

    def full(path, *args):
        if len(names(tmp_path)) == 3:
            raise OSError(28, "No space left on device")
        return opened(path, *args)

    monkeypatch.setattr(outputs.os, "open", full)
    with pytest.raises(CliError, match="No space left on device"):
        outputs.write_folder(tmp_path, {"a": b"1", "b": b"2"}, ours=is_old)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old", "b": b"old"}


def test_a_loop_of_links_is_no_place(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(CliError, match="cannot write"):
        outputs.write_file(tmp_path / "a", b"new")


def test_a_link_that_leads_nowhere_names_the_missing_folder(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "none" / "b")
    with pytest.raises(CliError, match=r"cannot write .*a: there is no folder .*none\."):
        outputs.write_file(tmp_path / "a", b"new")


def test_a_path_that_ends_as_a_folder_is_no_file(tmp_path):
    with pytest.raises(CliError, match="names a folder"):
        outputs.file_path(f"{tmp_path}/new/")
    assert outputs.file_path(f"{tmp_path}/new") == tmp_path / "new"


def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(outputs.Path, "replace", full)
    with pytest.raises(CliError, match=r"cannot write .*a: No space left on device"):
        outputs.write_file(tmp_path / "a", b"new", ours=is_old)
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(CliError, match="is a folder"):
        outputs.check(tmp_path, force=True)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(CliError, match=r"there is no folder .*missing"):
        outputs.check(tmp_path / "missing" / "a", force=False)


@pytest.mark.parametrize("path", ["a\0b", "x" * 300])
def test_a_name_that_no_file_can_have_is_an_error_in_one_line(tmp_path, path):
    with pytest.raises(CliError, match="cannot write"):
        outputs.write_file(tmp_path / path, b"")


def test_a_folder_is_made_for_its_owner_alone(tmp_path):
    folder = tmp_path / "deep" / "intents"
    assert outputs.write_folder(folder, {"a.yaml": b"1", "b.yaml": b"2"}) == []
    assert names(folder) == ["a.yaml", "b.yaml"]
    if os.name != "nt":
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_nothing_is_written_into_a_folder_where_one_file_may_not_be(tmp_path):
    (tmp_path / "b.yaml").write_bytes(b"precious")
    with pytest.raises(CliError, match=r"b\.yaml exists already"):
        outputs.write_folder(tmp_path, {"a.yaml": b"1", "b.yaml": b"2"}, ours=is_old)
    assert names(tmp_path) == ["b.yaml"]


def test_files_of_an_earlier_output_that_are_not_written_again_are_told(tmp_path):
    for name, content in {"a.yaml": b"old", "gone.yaml": b"old", "mine.yaml": b"mine", "gone.txt": b"old"}.items():
        (tmp_path / name).write_bytes(content)
    assert outputs.write_folder(tmp_path, {"a.yaml": b"old 2"}, ours=is_old) == ["gone.yaml"]
    assert names(tmp_path) == ["a.yaml", "gone.txt", "gone.yaml", "mine.yaml"]


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(CliError, match="is a file and no folder"):
        outputs.write_folder(tmp_path / "a", {})


def test_bytes_go_to_the_standard_output_as_they_are(capfdbinary):
    sys.stdout.write("before ")
    outputs.write_stdout(b"a\r\nb\n")
    assert capfdbinary.readouterr().out == b"before a\r\nb\n"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cart.shop", "cart.shop.yaml"),
        ("con.shop", "con_.shop.yaml"),
        ("LPT1", "LPT1_.yaml"),
        ("console.shop", "console.shop.yaml"),
    ],
)
def test_names_of_devices_are_no_names_of_files(name, expected):
    assert outputs.file_name(name, ".yaml") == expected


def test_long_names_are_cut_and_stay_distinct():
    first, second = (outputs.file_name("x" * 300 + end, ".yaml") for end in "ab")
    assert first != second
    assert len(first) <= 255
    assert len(second) <= 255


@pytest.mark.parametrize("check", [lambda path: outputs.check(path / "a", force=False), outputs.check_folder])
def test_a_folder_without_rights_is_told_before_anything_is_made(tmp_path, monkeypatch, check):
    monkeypatch.setattr(outputs.os, "access", lambda *_: False)
    with pytest.raises(CliError, match=r"you have no right to.*Name another"):
        check(tmp_path)
