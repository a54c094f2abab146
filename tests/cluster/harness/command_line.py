"""The shipped command line as a process, without what the machine's own environment says of clusters."""

from __future__ import annotations

import os
import subprocess
import sys

FORWARD = {"apiGroups": [""], "resources": ["pods/portforward"], "verbs": ["get", "create"]}
PROXY = {"apiGroups": [""], "resources": ["services/proxy"], "verbs": ["get", "create"]}
SEARCH = {"apiGroups": [""], "resources": ["services", "pods"], "verbs": ["list"]}
READ_SERVICES = {"apiGroups": [""], "resources": ["services"], "verbs": ["get"]}
LIST_PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}
TIMEOUT = 60


def command(*arguments: object) -> list[str]:
    """The command that runs the program with these arguments."""
    return [sys.executable, "-m", "network_mapper", *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    """The environment without what names mappers and clusters."""
    named = ("NETWORK_MAPPER_M", "OTTERIZE_", "KUBE")
    return {name: value for name, value in os.environ.items() if not name.startswith(named)} | more


def run(*arguments: object, code: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, which must be the exit code that is expected; `more` are variables."""
    done = subprocess.run(
        command(*arguments), check=False, capture_output=True, text=True, timeout=TIMEOUT, env=environment(**more)
    )
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr
    return done


def complaint(*arguments: object, **more: str) -> str:
    """Run a command that must fail and say why in one line, which is returned."""
    done = run(*arguments, code=1, **more)
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.removeprefix("Error: ").strip()
