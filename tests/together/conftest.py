"""The adapter and the fake, joined over real HTTP on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from command import Done, Run
from exports import write_ids
from fake_assistants import FakeAssistants
from threadkeep.cli.main import run
from watched import Watched


@pytest.fixture
def fake() -> Watched:
    """A fake with an empty world."""
    return Watched()


@pytest.fixture
def ids(fake: FakeAssistants, tmp_path: Path) -> Path:
    """A file of the ids of all the fake's threads."""
    return write_ids(tmp_path, *(thread["id"] for thread in fake.snapshot()["threads"]))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where the export goes."""
    return tmp_path / "out.ndjson"


@pytest.fixture
def base_url(fake: FakeAssistants, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The fake over HTTP, and the environment that leads the SDK there."""
    with fake.serve() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        yield server.base_url


@pytest.fixture
def threadkeep(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line in this process. However slow the machine is, no line of progress comes by the clock."""
    monkeypatch.setattr("threadkeep.cli.progress_display._SELDOM", float("inf"))

    def command(*arguments: object) -> Done:
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return command
