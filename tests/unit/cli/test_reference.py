import re
from pathlib import Path

import pytest

from network_mapper.cli import inventory, markdown, reference
from network_mapper.cli.errors import EXIT_CODES

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize(("page", "render"), [("configuration.md", reference.render), ("cli.md", markdown.render)])
def test_the_page_is_what_the_declarations_say(page, render):
    assert (DOCS / page).read_text(encoding="utf-8") == render(), "run: make docs"


@pytest.mark.parametrize("name", inventory.COMMANDS)
def test_the_page_has_every_option_of_a_command(name):
    page = markdown.render()
    command = inventory.load()[name]
    for option in inventory.visible(command.params) if command.common else []:
        for flag in option.opts:
            assert f"{flag}" in page


def test_one_table_says_what_the_output_options_mean():
    page = markdown.render()
    table = page.split("## What `-o` and `--format` mean")[1].split("\n## ")[0]
    named = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    have = {
        name
        for name, command in inventory.load().items()
        if {"-o", "--format"} & {flag for option in command.params for flag in option.opts}
    }
    assert named == have


@pytest.mark.parametrize("code", EXIT_CODES)
def test_the_page_has_every_exit_code(code):
    assert re.search(rf"^\| {code} \| \w", markdown.render(), re.MULTILINE)


def test_every_link_within_the_page_leads_somewhere():
    page = markdown.render()
    anchors = {
        re.sub(r"[^\w -]", "", title).lower().replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]*)\)", page)) <= anchors


def test_every_page_that_is_linked_to_is_there():
    for name in re.findall(r"\]\(([\w.-]+\.md)\)", markdown.render()):
        assert (DOCS / name).exists()
