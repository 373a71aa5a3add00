"""The README and docs/: what they link to is there, what they write as TOML is TOML, and their commands exist."""

import re
import tomllib
from pathlib import Path
from typing import Final

import pytest
from typer.main import get_group

from budgetd.cli.app import app

ROOT: Final = Path(__file__).parent.parent
PAGES: Final = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def found(pattern: str) -> list[object]:
    """A case for each match, named after the page that it is on."""
    texts = {page: re.findall(pattern, page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL) for page in PAGES}
    return [
        pytest.param(page, text, id=f"{page.name} {text.strip().splitlines()[0]}")
        for page in PAGES
        for text in dict.fromkeys(texts[page])
    ]


@pytest.mark.parametrize(("page", "link"), found(r"\]\(((?!https?:|#)[^)#]+)"))
def test_a_link_leads_somewhere(page: Path, link: str) -> None:
    assert (page.parent / link).exists()


@pytest.mark.parametrize(("page", "block"), found(r"^```toml\n(.*?)^```"))
def test_what_is_shown_as_toml_is_toml(page: Path, block: str) -> None:
    assert tomllib.loads(block), page


@pytest.mark.parametrize(("page", "verb"), found(r"(?:`|^\$ )budgetd ([a-z]+)"))
def test_a_command_that_is_shown_exists(page: Path, verb: str) -> None:
    assert verb in get_group(app).commands, page


def test_every_folder_of_the_code_is_explained() -> None:
    packages = {
        file.parent.relative_to(ROOT) for root in ("daemon", "rules") for file in ROOT.glob(f"{root}/*/**/*.py")
    }
    readme = PAGES[0].read_text(encoding="utf-8")
    assert [str(folder) for folder in sorted(packages) if f"]({folder})" not in readme] == []
