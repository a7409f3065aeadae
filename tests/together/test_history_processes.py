"""Histories under kills, and under writers at the same time."""

import subprocess
import sys
from pathlib import Path

import pytest

from threadkeep import open_history

KILLS = Path(__file__).parents[1] / "history_kills.py"
WRITER = """
import sys
from threadkeep import open_history
history = open_history(sys.argv[1], "shared").sync
for number in range(200):
    history.add_items([{"writer": sys.argv[2], "number": number}])
"""
READER = """
import sys, warnings
from threadkeep import open_history
warnings.simplefilter("error")
history = open_history(sys.argv[1], "shared").sync
seen = 0
while seen < 800:
    found = len(history.get_items())
    assert found >= seen
    seen = found
"""
URLS = ["{}/chat.json", "{}/chat.jsonl", "sqlite:///{}/chat.db"]


@pytest.mark.parametrize("template", URLS)
def test_a_kill_loses_nothing_that_was_acknowledged(template: str, tmp_path: Path) -> None:
    """A hundred kills at any moment: no pair is lost, none is halved, and the .json is valid after each."""
    command = [sys.executable, str(KILLS), template.format(tmp_path), "100", "7"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=KILLS.parent)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("100 kills")


@pytest.mark.parametrize("template", URLS)
def test_writers_wait_for_each_other(template: str, tmp_path: Path) -> None:
    """Eight processes with 200 appends each, and one that reads meanwhile: all items, each writer's in its order."""
    url = template.format(tmp_path)
    programs = [[WRITER, url, str(writer)] for writer in range(8)] + [[READER, url]]
    running = [subprocess.Popen([sys.executable, "-c", *program]) for program in programs]
    assert [process.wait() for process in running] == [0] * 9
    items = open_history(url, "shared").sync.get_items()
    assert len(items) == 1600
    for writer in map(str, range(8)):
        assert [item["number"] for item in items if item["writer"] == writer] == [*range(200)]
