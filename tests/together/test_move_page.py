"""The commands of docs/move-foundry.md, as they are written there, in a shell."""

import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_assistants import FakeAssistants, demo_world

PAGE = (Path(__file__).parents[2] / "docs" / "move-foundry.md").read_text(encoding="utf-8")

# Tools that the page uses to look at what is there, and that a machine may not have.
SHELL = f"""
set -euo pipefail
threadkeep() {{ {sys.executable} -m threadkeep "$@"; }}
curl() {{ :; }}
jq() {{ :; }}
"""

THREADS = 20


def commands(heading: str) -> list[str]:
    """Return the blocks of commands below a heading."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [textwrap.dedent(block) for block in re.findall(r"(?:^    .*\n)+", section, re.M)]


def run(script: str, folder: Path) -> None:
    """Run the commands one after the other, and show what they printed if one fails."""
    subprocess.run(["bash", "-c", SHELL + script], cwd=folder, check=True, timeout=300)


def moved(map_file: Path) -> list[str]:
    """Return the threads of the map, all of which are verified."""
    rows = [json.loads(line) for line in map_file.read_bytes().splitlines()]
    assert all(row["verified"] for row in rows)
    return [row["thread_id"] for row in rows]


@pytest.fixture
def fake() -> FakeAssistants:
    """A fake of Foundry with threads."""
    fake = FakeAssistants(profile="foundry")
    fake.load(demo_world(THREADS, 30))
    return fake


@pytest.fixture
def address(fake: FakeAssistants) -> Iterator[str]:
    """Where the fake is served."""
    with fake.serve() as server:
        yield server.url


def test_the_rehearsal(fake: FakeAssistants, address: str, tmp_path: Path) -> None:
    """Every thread has a conversation afterwards. The fake is served by the test, on a port that is free."""
    serve, typed = commands("Rehearse it")
    assert serve.split()[:2] == ["fake-assistants", "serve"]
    run(typed.replace("http://127.0.0.1:8000", address), tmp_path)
    assert len(moved(tmp_path / "rehearsal.ndjson.conversations.ndjson")) == THREADS
    assert len(fake.snapshot()["conversations"]) == THREADS


def test_the_walk(fake: FakeAssistants, address: str, tmp_path: Path) -> None:
    """From the list of threads to catching up on the day of the switch: no conversation is created twice."""
    headings = ("Save the threads", "Dry run", "Move them", "Check it", "While people still write")
    typed = [block for heading in headings for block in commands(heading)]
    project = f"export OPENAI_API_KEY=none\nproject={address}/api/projects/mine\naz='echo token'\n"
    run(project + "".join(typed), tmp_path)
    assert len(moved(tmp_path / "out.ndjson.conversations.ndjson")) == THREADS
    assert len(fake.snapshot()["conversations"]) == THREADS
