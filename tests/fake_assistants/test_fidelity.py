"""docs/dev/fidelity.md is held by the code: what it names is there, and what is there it names."""

import ast
import importlib
import inspect
import pkgutil
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import attrs
import pytest

import fake_assistants.errors as refusals
from fake_assistants.dispatch.control import CONTROLS
from fake_assistants.dispatch.routes import FOUNDRY_ROUTES, ROUTES
from fake_assistants.http.error_envelope import ApiProblem, ErrorBody

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "dev" / "fidelity.md").read_text(encoding="utf-8")

HEAD = ["behaviour", "evidence", "test"]
EVIDENCE = {"recorded", "quoted", "spec", "SDK", "inferred", "own"}

# The words of evidence in a docstring, and how the document spells them.
SPELLED = {"documented": "spec", "sdk": "SDK", "fake's own": "own"}
IN_DOCSTRINGS = re.compile(r"\b(recorded|quoted|documented|sdk|inferred|fake's own)\b", re.IGNORECASE)

CALL = re.compile(r"[A-Z]+ /\S+")

# The refusals that a row is about stand at its end.
AT_THE_END = re.compile(r"(?:, `\w+`)+$")


@attrs.frozen
class Row:
    """One behaviour: its words, its kinds of evidence, its tests, and the names in backticks."""

    behaviour: str
    evidence: list[str]
    tests: list[str]

    @property
    def calls(self) -> list[str]:
        return [name for name in re.findall("`([^`]+)`", self.behaviour) if CALL.fullmatch(name)]

    @property
    def refusals(self) -> list[str]:
        return re.findall(r"\w+", "".join(AT_THE_END.findall(self.behaviour)))


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("| ").split(" | ")]


def rows() -> Iterator[Row]:
    """Every line of every table of behaviours."""
    for table in re.findall(r"(?:^\|.*\n)+", TEXT, re.MULTILINE):
        head, _, *lines = table.splitlines()
        for line in lines if cells(head) == HEAD else ():
            behaviour, evidence, test = cells(line)
            words = [re.split(r"\W", piece.strip())[0] for piece in evidence.split(";")]
            yield Row(behaviour, words, re.findall("`([^`]+)`", test))


ROWS = list(rows())

AREAS = [
    importlib.import_module(f"{refusals.__name__}.{area.name}") for area in pkgutil.iter_modules(refusals.__path__)
]

REFUSALS: list[Callable[..., Any]] = [
    function
    for area in AREAS
    for name, function in inspect.getmembers(area, inspect.isfunction)
    if function.__module__ == area.__name__ and not name.startswith("_")
]


def names_in(path: Path) -> Iterator[str]:
    """The names of the tests in a file, without running it: functions, and cases of state machines."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node.name
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id


def test_there_are_rows() -> None:
    """A table whose head is worded otherwise would pass for no table."""
    heads = [line for line in TEXT.splitlines() if line.startswith("| behaviour")]
    assert len(heads) == TEXT.count("\n## ") - 1
    assert {line == "| behaviour | evidence | test |" for line in heads} == {True}
    assert len(ROWS) > len(heads)


def test_every_named_test_exists() -> None:
    """By file and name; every row has one."""
    there = {
        f"{path.relative_to(ROOT).as_posix()}::{name}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in names_in(path)
    }
    assert [row.behaviour for row in ROWS if not row.tests] == []
    assert sorted({test for row in ROWS for test in row.tests} - there) == []


def test_every_word_of_evidence_is_known() -> None:
    """And no row is without."""
    assert [row for row in ROWS if not row.evidence or set(row.evidence) - EVIDENCE] == []


def test_no_behaviour_stands_twice() -> None:
    """Two rows that say the same would one day say two things."""
    counted = Counter(row.behaviour for row in ROWS)
    assert [behaviour for behaviour, count in counted.items() if count > 1] == []


def test_every_route_and_control_call_is_named() -> None:
    """And none that does not exist."""
    there = {
        f"{method} {path}" for table in (ROUTES, FOUNDRY_ROUTES, CONTROLS) for path in table for method in table[path]
    }
    named = {name for row in ROWS for name in row.calls}
    assert {"without a row": sorted(there - named), "not there": sorted(named - there)} == {
        "without a row": [],
        "not there": [],
    }


def test_only_refusals_stand_among_the_refusals() -> None:
    """Whatever else they need stands elsewhere; and no name stands for two of them."""
    assert len(AREAS) > 1
    assert [one.__name__ for one in REFUSALS if get_type_hints(one)["return"] not in (ApiProblem, ErrorBody)] == []
    assert len({one.__name__ for one in REFUSALS}) == len(REFUSALS)


def test_every_refusal_that_a_row_ends_with_exists() -> None:
    """One that is gone, or has another name, may not live on in the document."""
    assert {name for row in ROWS for name in row.refusals} - {one.__name__ for one in REFUSALS} == set()


@pytest.mark.parametrize("function", REFUSALS, ids=lambda function: function.__name__)
def test_a_refusal_and_its_rows_know_the_same_evidence(function: Callable[..., Any]) -> None:
    """Its docstring says recorded, quoted, documented, SDK, inferred or the fake's own: its rows say as much."""
    said = {SPELLED.get(word.lower(), word.lower()) for word in IN_DOCSTRINGS.findall(inspect.getdoc(function) or "")}
    rows = [row for row in ROWS if function.__name__ in row.refusals]
    assert rows, f"{function.__name__} has no row in docs/dev/fidelity.md"
    assert {word for row in rows for word in row.evidence} == said
