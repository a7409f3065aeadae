"""`-v` prints the requests: a line for each on standard error, and no key."""

import re
from pathlib import Path

import pytest

from command import Run
from exports import ASSISTANT, write_ids
from fake_assistants import demo_world
from processes import run_alone
from terminal import in_terminal
from threadkeep.api.client import PacingOptions
from watched import Watched

KEY = "sk-test-0123456789abcdef"

_LINE = re.compile(
    r"threadkeep: (GET|POST|DELETE) (/v1/\S+): (\d{3}|no answer \(\w+\)), [\d,]+ ms(, request req_\w+)?, key (\d)"
)


@pytest.fixture(autouse=True)
def _key(base_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    del base_url
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture
def ids(fake: Watched, tmp_path: Path) -> Path:
    """The ids of three threads with messages."""
    world = demo_world(3, 5)
    fake.load(world)
    return write_ids(tmp_path, *(thread["id"] for thread in world["threads"]))


def requests(err: str) -> list[tuple[str, str, str, str]]:
    """Method, path, status and key of each line; every line is about a request, or about what asks."""
    lines = [line for line in err.splitlines() if "asking with" not in line]
    found = [_LINE.fullmatch(line) for line in lines]
    assert None not in found, lines
    return [(one[1], one[2], one[3], one[5]) for one in found if one is not None]


def of_fake(fake: Watched) -> list[tuple[str, str]]:
    """The method and path of each request that the fake has had."""
    return sorted((one.method, one.path) for one in fake.requests)


@pytest.mark.parametrize("more", [(), ("--quiet",), ("--json",)], ids=str)
def test_each_request_is_a_line(fake: Watched, ids: Path, out: Path, threadkeep: Run, more: tuple[str, ...]) -> None:
    """With its status and its id, whatever else is printed; none without -v."""
    done = threadkeep("export", ids, ASSISTANT, out, "-v", *more)
    assert done.code == 0
    found = requests(done.err)
    assert sorted(one[:2] for one in found) == of_fake(fake)
    assert {one[2:] for one in found} == {("200", "1")}
    assert {one.headers["authorization"] for one in fake.requests}
    assert KEY not in done.err
    fake.requests.clear()
    assert "GET" not in threadkeep("export", ids, ASSISTANT, out, "--refresh", *more).err


def test_each_command_that_asks_takes_it(fake: Watched, ids: Path, out: Path, threadkeep: Run, base_url: str) -> None:
    """Lists, the live check, a push and a move."""
    assert threadkeep("export", ids, ASSISTANT, out).code == 0
    copy = out.with_name("copy.ndjson")
    for typed in (
        ("assistants",),
        ("validate", out, "--live", "--base-url", base_url),
        ("push", out, "--to", "conversations", "--quiet"),
        ("move", ids, ASSISTANT, copy, "--to-base-url", base_url, "--quiet"),
    ):
        fake.requests.clear()
        done = threadkeep(*typed, "-v")
        assert done.code == 0, done.err
        lines = "".join(f"{line}\n" for line in done.err.splitlines() if "/v1/" in line)
        assert sorted(one[:2] for one in requests(lines)) == of_fake(fake)


def test_a_chat_tells_of_its_requests(tmp_path: Path) -> None:
    """As they are sent by the SDK's own client."""
    turn = tmp_path / "turn.txt"
    turn.write_text("hello\n")
    with turn.open("rb") as given:
        done = run_alone("chat", "--history", tmp_path / "h.json", "--model", "gpt-4o", "-v", stdin=given)
    assert done.code == 0
    assert [one[:3] for one in requests(done.err)] == [("POST", "/v1/chat/completions", "200")]


def test_keys_have_numbers_and_are_not_shown(
    fake: Watched, ids: Path, out: Path, threadkeep: Run, tmp_path: Path
) -> None:
    """In the order of their file. A key that the server sends back as the request's id is removed."""
    fake.faults.set([{"match": {"nth": 1}, "do": {"status": 401, "headers": {"x-request-id": KEY}}}])
    keys = tmp_path / "keys.txt"
    keys.write_text(f"{KEY}\n{KEY}-2\n")
    keys.chmod(0o600)
    done = threadkeep("export", ids, ASSISTANT, out, "-v", "--keys-file", keys)
    lines = [line for line in done.err.splitlines() if "/v1/" in line]
    assert {line[-5:] for line in lines} >= {"key 2"}
    assert KEY not in done.err
    assert "request [key]" in done.err


def test_a_request_without_an_answer_is_a_line_too(threadkeep: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the name of the error."""
    monkeypatch.setattr("threadkeep.cli.commands.listings.PacingOptions", lambda: PacingOptions(max_retries=0))
    done = threadkeep("assistants", "-v", "--base-url", "http://127.0.0.1:1/v1")
    assert done.code == 1
    assert "threadkeep: GET /v1/assistants: no answer (ConnectError), " in done.err


def test_a_terminal_has_the_lines_above_the_bars(ids: Path, out: Path) -> None:
    """The bars are drawn once more below each."""
    with in_terminal("export", ids, ASSISTANT, out, "-v", TERM="xterm", COLUMNS="200") as terminal:
        assert terminal.ended() == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.shown).replace("\r", "\n")
    found = [line for line in plain.splitlines() if "/v1/threads/" in line]
    assert len(found) == 3
    assert all(_LINE.fullmatch(line.strip()) for line in found)
