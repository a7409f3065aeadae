"""The page of findings says what the table of kinds says."""

import re
from pathlib import Path

from threadkeep.validation.findings import KINDS

PAGE = Path(__file__).parents[2] / "docs" / "findings.md"
ROW = re.compile(
    r"^\| `(?P<code>\w+)` \| (?P<severity>\w+) \| (?P<what>.+) \| (?P<remedy>.+) \| (?P<again>yes|no) \|$", re.M
)


def test_the_page_names_every_code_as_the_table_does() -> None:
    """Each once, in its order, with its severity and whether its thread is fetched again; and nothing else."""
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    rows_of_page = [(code, severity, again == "yes") for code, severity, _, _, again in rows]
    assert rows_of_page == [(code, str(kind.severity), kind.refetch) for code, kind in KINDS.items()]


def test_every_next_step_is_one_or_two_sentences() -> None:
    """It can stand alone, on a line of its own."""
    for code, kind in KINDS.items():
        assert re.fullmatch(r"[A-Z][^.]+\.( [A-Z][^.]+\.)?", kind.remedy), code


def test_every_row_of_the_page_is_a_code() -> None:
    """A row that the first test cannot read would be passed over by it."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    heads = [line for line in lines if line.startswith(("| code |", "|---"))]
    assert len(lines) - len(heads) == len(KINDS)


def test_what_the_page_says_of_a_code_is_more_than_a_word() -> None:
    """What it means and what to do are sentences."""
    for code, _, what, remedy, _ in ROW.findall(PAGE.read_text(encoding="utf-8")):
        assert len(what) > 40, code
        assert remedy.endswith("."), code
