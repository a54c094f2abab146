"""The same packages and sources give the same image; another line of source gives another upper layer, no more."""

import hashlib
import os
import re
import shutil
import subprocess
import sys

import image
import image_archive
import image_cache
import pytest
from image_cache import rootfs

EPOCH = "1790000000"
STRANGE = {"TZ": "Pacific/Auckland", "LC_ALL": "C", "PYTHONHASHSEED": "7", "SOURCE_DATE_EPOCH": EPOCH}


@pytest.fixture
def elsewhere(tmp_path):
    """A copy of what images are made from, in another folder and with other times."""
    folder = tmp_path / "elsewhere"
    for name in image.INPUTS:
        source, target = image.ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), copy_function=shutil.copyfile)
        else:
            shutil.copyfile(source, target)
    return folder


def containerfile():
    """The steps that the container engine runs after fetching, as `rootfs.py` gets them."""
    text = (image_cache.BUILDER / "Containerfile").read_text()
    return re.findall(r"^RUN python3 (image/rootfs\.py .*)$", text, re.MULTILINE)


def run_step(step, arch, folder, out, **changes):
    """Run a step of Containerfile in a folder; what was fetched is taken from the cache."""
    fetched = str(image_cache.fetched(arch))
    words = step.replace('"$TARGETARCH"', arch).replace("/out/fetched", fetched).replace("/out", str(out)).split()
    subprocess.run(
        [sys.executable, "-B", *words], cwd=folder, env={**os.environ, **STRANGE, **changes}, umask=0o077, check=True,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip


def packed(folder):
    file = folder.with_suffix(".tar")
    image_archive.pack_layer(folder, file, rootfs.OWNERS, rootfs.TIME)
    return "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()


def digests(archive):
    return [layer["digest"] for layer in image_archive.read(archive).manifest["layers"]]


def test_the_steps_of_the_container_file_give_the_layers_of_the_image(archive, arch, elsewhere, tmp_path):
    """No container engine runs in tests; these are its very commands, elsewhere, at another time."""
    moment = str(image.epoch())
    fetch, *steps = containerfile()
    assert fetch == 'image/rootfs.py fetch --arch "$TARGETARCH" /out/fetched'
    for step in steps:
        run_step(step, arch, elsewhere, tmp_path / "out", SOURCE_DATE_EPOCH=moment)
    assert [packed(tmp_path / "out" / name) for name in ("base", "project")] == digests(archive)


def test_the_container_file_says_what_the_image_says(amd64):
    text = (image_cache.BUILDER / "Containerfile").read_text().replace("\\\n", " ")
    last = text[text.index("FROM scratch") :]
    config = image_archive.read(amd64).config["config"]
    labels = {name: value for name, value in config["Labels"].items() if not name.endswith(".created")}
    assert dict(re.findall(r'(org\.\S+?)="([^"]*)"', last)) == labels
    assert re.findall(r"^COPY (.+)$", last, re.MULTILINE) == ["--from=build /out/base /", "--from=build /out/project /"]
    assert re.findall(r"^ENV (.+)$", last, re.MULTILINE) == config["Env"]
    assert re.findall(r"^EXPOSE (.+)$", last, re.MULTILINE) == list(config["ExposedPorts"])
    assert re.findall(r"^USER (.+)$", last, re.MULTILINE) == [config["User"]]
    assert re.findall(r"^WORKDIR (.+)$", last, re.MULTILINE) == [config["WorkingDir"]]
    assert re.findall(r'^ENTRYPOINT \["(.+)"\]$', last, re.MULTILINE) == config["Entrypoint"]


def test_the_date_that_is_asked_for_reaches_the_step_that_writes_it_and_no_earlier_one():
    text = (image_cache.BUILDER / "Containerfile").read_text()
    before, _, after = text.partition("ARG SOURCE_DATE_EPOCH\n")
    assert "rootfs.py base" in before  # which is kept when the date alone differs
    assert "rootfs.py project" in after


def test_a_container_engine_is_given_what_the_image_is_made_from_and_no_more():
    lines = (image.ROOT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*"
    given = {line[1:] for line in lines if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", (image_cache.BUILDER / "Containerfile").read_text(), re.MULTILINE)
    assert {name.split("/")[0] for name in image.INPUTS} == given
    assert {name.split("/")[0] for name in copied} == given


def test_another_line_of_source_is_another_upper_layer(amd64, elsewhere, tmp_path):
    moment = str(image.epoch())
    with (elsewhere / "src/network_mapper/__main__.py").open("a") as stream:
        stream.write("# one more line\n")
    (project,) = [step for step in containerfile() if " project " in step]
    run_step(project, "amd64", elsewhere, tmp_path / "out", SOURCE_DATE_EPOCH=moment)
    assert packed(tmp_path / "out" / "project") != digests(amd64)[1]


def test_an_image_is_named_after_its_sources(amd64, monkeypatch, tmp_path):
    file = tmp_path / "more.py"
    monkeypatch.setattr(image, "ROOT", tmp_path)
    monkeypatch.setattr(rootfs, "project_files", lambda: [file])
    monkeypatch.setattr(image, "_scripts", list)
    (tmp_path / "LICENSE").write_text("free")
    base, parts = image_cache.base("amd64"), image_cache.fetched("amd64")
    names = set()
    for line in ("one", "two"):
        file.write_text(line)
        names.add(image._made_from(base, parts, 0))
    assert len(names | {image._made_from(base, parts, 1)}) == 3


def test_the_image_is_dated_as_asked(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)
    assert image.config("amd64", image.epoch())["created"] == "2026-09-21T14:13:20Z"
