"""Pages that repeat the code say what the code says."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from roost_server.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = load(ROOT / "docs/generate.py")


@pytest.mark.parametrize("page", generate.PAGES)
def test_a_generated_page_is_current(page: str) -> None:
    assert (ROOT / page).read_text() == generate.PAGES[page](), f"run: python docs/generate.py, then commit {page}"


def test_every_setting_has_a_sentence() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description and field.description.endswith("."), f"{name} has no sentence"


def test_every_link_of_the_pages_leads_somewhere() -> None:
    import re

    for page in [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("*/README.md"),
        *ROOT.glob("examples/*/*.md"),
    ]:
        if ".venv" in page.parts or ".tools" in page.parts:
            continue
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}, which is not there"
