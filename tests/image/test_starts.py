"""The image is used as its users would: for amd64 on this kernel, for arm64 in an emulated machine with one of its own.

In both the root file system is read-only, /tmp and /data are not, and nothing runs as root but a sniffer on the node.
"""

import json
import os
import platform
import shutil
import subprocess
from pathlib import Path

import image
import image_archive
import image_machine
import image_trial
import pytest
from image_cache import rootfs

from network_mapper import __version__
from network_mapper.testing import sandbox
from network_mapper.testing.demo import RECORDING

TRIAL = Path(image_trial.__file__).read_bytes()
FILES = {f"/trial/{name}": (RECORDING / name).read_bytes() for name in ("cluster.json", "node-1.pcap")}
HELP_SECONDS = 0.150
PICTURE_BYTES = 10_000
LISTED = """\
cartservice in namespace otterize-ecom-demo calls:
  - redis-cart (DNS lookup only)
checkoutservice in namespace otterize-ecom-demo calls:
  - cartservice
  - currencyservice
  - emailservice
  - paymentservice
  - productcatalogservice
  - shippingservice
frontend in namespace otterize-ecom-demo calls:
  - adservice
  - cartservice
  - checkoutservice
  - currencyservice
  - productcatalogservice
  - recommendationservice
  - shippingservice
loadgenerator in namespace otterize-ecom-demo calls:
  - frontend
recommendationservice in namespace otterize-ecom-demo calls:
  - productcatalogservice
"""

# Inside its own mount namespace: the image as a container's runtime lays it out.
CHROOT = f"""
set -e
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
mount -t tmpfs -o mode=755,uid={rootfs.USER},gid={rootfs.USER} tmpfs "$1/data"
mount --bind /dev "$1/dev"
mount -o remount,bind,ro "$1"
exec env -i "$(command -v chroot)" "$1" /usr/bin/python3.11 -I /trial/trial.py
"""


def told(shown):
    """What the trial printed."""
    assert image_trial.BEGIN in shown, shown[-4000:]
    return json.loads(shown.partition(image_trial.BEGIN)[2].partition(image_trial.END)[0])


@pytest.fixture(scope="module")
def in_chroot(request, tmp_path_factory):
    """What the trial told of the image for this machine, run on this kernel."""
    if image.machine() not in image.ARCHITECTURES:
        pytest.skip(f"there is no image for {platform.machine()}")
    if not sandbox.inside() or os.geteuid() != 0 or "4294967295" not in Path("/proc/self/uid_map").read_text():
        pytest.skip("needs root in a sandbox: python -m network_mapper.testing.sandbox --net -- pytest tests/image")
    archive = request.getfixturevalue(image.machine())
    root = tmp_path_factory.mktemp("root") / "image"
    image_archive.unpack(archive, root)
    root.chmod(0o755)
    for name, content in {**FILES, "/trial/trial.py": TRIAL}.items():
        (root / name.lstrip("/")).parent.mkdir(exist_ok=True)
        (root / name.lstrip("/")).write_bytes(content)
    done = subprocess.run(
        ["unshare", "--mount", "--", "sh", "-c", CHROOT, "sh", root], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return told(done.stdout)


@pytest.fixture(scope="module")
def in_machine(arm64):
    """What the trial told of the image for arm64, run in a machine of that kind."""
    if not shutil.which(image_machine.EMULATOR):
        pytest.skip(f"{image_machine.EMULATOR} is missing; install it with: sudo apt install qemu-system-arm")
    try:
        shown = image_machine.start(arm64, {"/init": b"#!/usr/bin/python3.11 -I\n" + TRIAL, **FILES})
    except image.ImageMissingError as error:
        pytest.skip(str(error))
    return told(shown)


@pytest.fixture(params=["in_chroot", "in_machine"])
def trial(request):
    return request.getfixturevalue(request.param)


pytestmark = pytest.mark.timeout(image_machine.SECONDS + 60)


def test_it_runs_on_the_machine_it_is_for(in_machine):
    assert in_machine["machine"] == "aarch64"


def test_the_program_tells_its_version(trial):
    assert trial["version"] == {"code": 0, "out": f"network-mapper {__version__} (Python 3.11.2 on linux)\n", "err": ""}


def test_the_program_tells_its_commands(trial):
    assert trial["help"]["code"] == 0
    assert "Draw the map of who talks to whom" in trial["help"]["out"]


def test_help_takes_little_time(in_chroot):
    assert in_chroot["help_cpu"] <= HELP_SECONDS


def test_its_user_can_write_nothing_but_the_temporary_folder_and_that_of_the_map(trial):
    assert trial["writable"] == ["/data", "/tmp"]  # noqa: S108  the image's own


def test_a_mapper_runs_with_a_read_only_root(trial):
    assert trial["ready"] == 200, trial["log"]
    assert trial["ended"] == 0, trial["log"]


def test_a_sniffer_reports_to_it(trial):
    assert trial["sniffer"]["code"] == 0, trial["sniffer"]["err"]
    assert "2 reports with 40 rows" in trial["sniffer"]["err"]


def test_the_map_is_listed(trial):
    assert trial["list"] == {"code": 0, "out": LISTED, "err": ""}


def test_the_map_is_drawn_as_a_picture(trial):
    assert trial["picture"]["code"] == 0, trial["picture"]["err"]
    assert trial["picture_bytes"] > PICTURE_BYTES


def test_a_sniffer_watches_the_packets_of_the_emulated_machine(in_machine):
    assert in_machine["live"]["code"] == 0
    assert set(in_machine["live"]["sources"]) == {"ring", "sockets"}
