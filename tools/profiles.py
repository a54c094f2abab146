"""Render the profiles of `network-mapper install` from the chart: `python tools/profiles.py [--check]`.

The files in src/network_mapper/cli/deploy/profiles/ are what `helm template` prints for these values, to the letter, so
people without Helm install just what the chart installs. They are committed; a test compares them with the chart.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import kubernetes

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "charts" / "network-mapper"
FOLDER = ROOT / "src" / "network_mapper" / "cli" / "deploy" / "profiles"
RELEASE = "network-mapper"
VALUES: dict[str, tuple[str, ...]] = {
    "default": (),
    "persistent": ("persistence.enabled=true",),
    "sockets": ("sniffer.capture=sockets",),
    "openshift": ("openshift.enabled=true",),
    "otterize": ("compat.otterize=true",),
}
"""The profiles, and the values of the chart that make them."""


def render(values: tuple[str, ...], namespace: str = RELEASE) -> str:
    """What `helm template` prints.

    Args:
        values: As `--set` takes them.
        namespace: Of the release.

    Raises:
        kubernetes.KubernetesMissingError: There is no Helm, and none can be built.
        RuntimeError: Helm refuses the chart; the message is Helm's.
    """
    command = [kubernetes.tool("helm"), "template", RELEASE, CHART, "--namespace", namespace, "--skip-tests"]
    # The version is named because Helm else takes that of its own libraries, or asks a cluster.
    command += ["--kube-version", kubernetes.version()]
    for value in values:
        command += ["--set", value]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"helm template for {' '.join(values) or 'the default values'}: {done.stderr.strip()}")
    return done.stdout


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` say which are not as the chart makes them."""
    stale = []
    for name, values in VALUES.items():
        file, text = FOLDER / f"{name}.yaml", render(values)
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in arguments:
                file.write_text(text, encoding="utf-8")
    if stale and "--check" in arguments:
        print(f"profiles {', '.join(stale)} are not as the chart makes them: run python tools/profiles.py")
        return 1
    print(f"profiles: {', '.join(stale) or 'none'} written, in {FOLDER.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
