import os
import shutil
import subprocess
import sys

import pytest


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_says_how_to_use_it(run, shell):
    result = run("completion", shell)
    assert result.code == 0
    assert result.out.startswith(f"# Completion of network-mapper for {shell}. To try it in this shell: ")
    assert "_NETWORK_MAPPER_COMPLETE" in result.out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_is_understood_by_its_shell(run, shell):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    script = run("completion", shell).out
    subprocess.run([shell, "-n"], input=script.encode(), check=True)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("network-mapper sta", {"status"}),
        ("network-mapper list -o ", {"text", "json", "yaml", "wide"}),
        ("network-mapper completion ", {"bash", "zsh", "fish"}),
    ],
)
def test_completion_offers_commands_and_values(words, expected):
    environ = {
        **os.environ,
        "_NETWORK_MAPPER_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    process = subprocess.run(
        [sys.executable, "-m", "network_mapper"], env=environ, capture_output=True, text=True, check=False
    )
    assert {line.split(",")[1] for line in process.stdout.splitlines()} == expected
