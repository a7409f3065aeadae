"""The adapter and the fake, joined over real HTTP on loopback."""

from collections.abc import Iterator

import pytest

from command import Done, Run
from fake_assistants import FakeAssistants
from threadkeep.cli import run


@pytest.fixture
def fake() -> FakeAssistants:
    """A fake with an empty world."""
    return FakeAssistants()


@pytest.fixture
def base_url(fake: FakeAssistants, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The fake over HTTP, and the environment that leads the SDK there."""
    with fake.serve() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        yield server.base_url


@pytest.fixture
def threadkeep(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in this process."""

    def command(*arguments: object) -> Done:
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return command
