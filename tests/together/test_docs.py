"""Every Python block in the documentation runs, and every link to the repository leads to a file and its heading."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import fake_assistants
import threadkeep
from pages import OF_THE_FAKE, anchors

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *OF_THE_FAKE,
    *sorted((ROOT / "docs").rglob("*.md")),
]
BLOCKS = [
    pytest.param(block, id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M))
]

LINKED = re.compile(r"\]\(([^)#:]+\.md)")


@pytest.mark.filterwarnings("ignore:The Assistants API is deprecated:DeprecationWarning")
@pytest.mark.parametrize("block", BLOCKS)
def test_the_block_runs(block: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As it stands, in a namespace and a folder of its own, with the tests that it defines."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    exec(compile(block, "<documentation>", "exec"), {"__name__": "documentation"})


def used(block: str, package: str) -> Iterator[str]:
    """Yield the names of a package that a block imports from its root, or takes from it, and uses."""
    tree = ast.parse(block)
    imported = {
        (alias.asname or alias.name): alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == package
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in imported:
            yield imported[node.id]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == package:
            yield node.attr


@pytest.mark.parametrize("package", [threadkeep, fake_assistants], ids=lambda package: package.__name__)
def test_every_public_name_has_an_example(package: ModuleType) -> None:
    """In a block that runs, where it is imported from the root and used."""
    blocks = [str(block.values[0]) for block in BLOCKS]
    shown = {name for block in blocks for name in used(block, package.__name__)}
    assert sorted({*package.__all__} - shown) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    """To a file that is there and, behind a #, to one of its headings."""
    links = re.findall(r"\]\((?!https?://)([^)#\s]*)#?([^)\s]*)\)", page.read_text(encoding="utf-8"))
    targets = [(page.parent / path if path else page, anchor) for path, anchor in links]
    assert [target for target, _ in targets if not target.exists()] == []
    assert [
        (path, anchor) for path, anchor in targets if anchor and anchor not in anchors(path.read_text("utf-8"))
    ] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_is_found(page: Path) -> None:
    """From the README or from a page for its reader."""
    others = [other for other in PAGES if other != page]
    names = {(other.parent / path).resolve() for other in others for path in LINKED.findall(other.read_text("utf-8"))}
    assert page == ROOT / "README.md" or page in names


def test_a_users_page_is_linked_from_the_readme() -> None:
    """Those of docs/, but not those of docs/dev/ and what a page of tables adds to another page."""
    linked = set(LINKED.findall((ROOT / "README.md").read_text("utf-8")))
    assert {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} - linked == {"docs/tables.md"}
