from pathlib import Path

from network_mapper.cli import reference

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_the_page_is_what_the_declarations_say():
    assert PAGE.read_text() == reference.render(), "run: python -m network_mapper.cli.reference docs/configuration.md"
