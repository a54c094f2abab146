import re
import shutil
import subprocess

import pytest

from network_mapper.cli import inventory, manual
from network_mapper.cli.errors import EXIT_CODES

PAGES = manual.pages("2026-01-31")
PROGRAM_PAGE = "network-mapper.1"


def rendered(page: str) -> str:
    """A page as a terminal shows it."""
    if not shutil.which("groff"):
        pytest.skip("groff is not installed")
    process = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8", "-P-cbou", "-rLL=200n", "-rHY=0"],
        input=PAGES[page],
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stderr == ""
    return process.stdout


def test_there_is_a_page_for_the_program_and_for_each_command():
    assert PAGES.keys() == {PROGRAM_PAGE, *(f"network-mapper-{name}.1" for name in inventory.COMMANDS)}


@pytest.mark.parametrize("page", PAGES)
def test_groff_has_no_complaint(page):
    assert "NAME\n" in rendered(page)


@pytest.mark.parametrize("page", PAGES)
def test_mandoc_has_no_complaint(page):
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed")
    process = subprocess.run(
        ["mandoc", "-Tlint", "-Wwarning"], input=PAGES[page], capture_output=True, text=True, check=False
    )
    assert (process.returncode, process.stdout) == (0, "")


@pytest.mark.parametrize("name", inventory.COMMANDS)
def test_the_page_of_a_command_has_its_options_and_examples(name):
    text = " ".join(rendered(f"network-mapper-{name}.1").replace("\N{MINUS SIGN}", "-").split())
    command = inventory.load()[name]
    for option in inventory.visible(command.params):
        assert " ".join(inventory.row(option).flags.split()).replace("…", "...") in text
    for arguments, meaning in command.examples:
        assert " ".join(f"network-mapper {arguments}".split()) in text
        assert " ".join(meaning.split()) in text
    told = text.partition("EXIT STATUS")[2]
    assert all(f"{code} {' '.join(meaning.split())}" in told for code, meaning in EXIT_CODES.items())


def test_the_page_of_the_program_has_the_commands_and_the_exit_codes():
    text = rendered(PROGRAM_PAGE).replace("\N{MINUS SIGN}", "-")
    for name in inventory.COMMANDS:
        assert f"network-mapper-{name}(1)" in text
    codes = re.findall(r"^\s+(\d+)\s", text.split("EXIT STATUS")[1], re.MULTILINE)
    assert codes == ["0", "1", "2", "130", "141", "143"]


def test_what_troff_would_take_for_a_request_is_text():
    assert manual._escape(".SH x\n'y\\z -a") == "\\&.SH x\n\\(aqy\\ez \\-a"
