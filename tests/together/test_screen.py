"""What a person sees while an export runs: bars in a terminal, plain lines elsewhere, and when it warns."""

import io
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.progress import Task, TaskID

from command import Run
from exports import ASSISTANT, write_ids
from fake_assistants import FakeAssistants
from threadkeep.api.rate_control import Traffic
from threadkeep.cli import runtime
from threadkeep.cli.console import span
from threadkeep.cli.progress_display import Screen, time_left, wrapped
from threadkeep.errors import Interrupted
from threadkeep.exporter.events import FilesBegun, Notice, ThreadEnded, ThreadsBegun
from threadkeep.storage.index import DownloadOutcome, DownloadRow, Outcome

FOUNDRY = "https://r.services.ai.azure.com/api/projects/p"
NOON = datetime(2027, 3, 30, 12, tzinfo=UTC)


@attrs.define
class Pretended:
    """A run without a server: the time passes when a test says so."""

    at: float = 1000.0
    sent: int = 0
    refused: int = 0
    waits: float = 0.0

    def traffic(self) -> Traffic:
        return Traffic(sent=self.sent, refused=self.refused, pause=self.waits)

    def clock(self) -> float:
        return self.at

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.at - 1000)

    def screen(self, *, width: int = 80, terminal: bool = False, **options: Any) -> Screen:
        """A screen that writes into a file."""
        console = Console(file=io.StringIO(), force_terminal=terminal, width=width, _environ={"TERM": "xterm"})
        return Screen(clock=self.clock, now=self.now, console=console, **{"shown": True, **options})

    def begun(self, total: int, before: int = 0) -> ThreadsBegun:
        return ThreadsBegun(total=total, before=before, traffic=self.traffic)


def written(screen: Screen) -> str:
    """All that a screen has written."""
    file = screen._console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def complete(number: int, messages: int = 100) -> ThreadEnded:
    return ThreadEnded(thread_id=f"thread_{number}", outcome=Outcome.COMPLETE, messages=messages)


def missing(number: int) -> ThreadEnded:
    return ThreadEnded(thread_id=f"thread_{number}", outcome=Outcome.MISSING, messages=0, reason="No thread found")


def go_on(run: Pretended, screen: Screen, *, seconds: int) -> None:
    """A thread and two requests each second, looked at each time."""
    for number in range(seconds):
        run.at += 1
        run.sent += 2
        screen.take(complete(number))
        screen.tick()


def test_a_line_every_ten_seconds_without_a_terminal() -> None:
    """Threads, messages, requests a second, 429s and the time left; threads complete before count as done."""
    run = Pretended()
    with run.screen() as screen:
        screen.tick()
        screen.take(run.begun(200, before=100))
        screen.tick()
        run.refused = 3
        go_on(run, screen, seconds=9)
        assert written(screen) == ""
        run.waits = 12.4
        go_on(run, screen, seconds=11)
    assert written(screen).splitlines() == [
        "threadkeep: threads 110 of 200, 1,000 messages, 20 requests, 2.0 requests/s, 3 answered 429, waiting 12 s,"
        " about 0:01:30 left",
        "threadkeep: threads 120 of 200, 2,000 messages, 40 requests, 2.0 requests/s, 3 answered 429, waiting 12 s,"
        " about 0:01:20 left",
    ]


def test_nothing_but_problems_where_nothing_is_to_be_shown() -> None:
    """Neither lines nor bars, in a terminal or not; a missing thread is printed all the same."""
    for terminal in (False, True):
        run = Pretended()
        with run.screen(shown=False, terminal=terminal) as screen:
            screen.take(run.begun(50))
            screen.take(missing(7))
            go_on(run, screen, seconds=40)
        assert written(screen) == "thread_7: missing: No thread found\n"


@pytest.mark.parametrize("width", [24, 36, 80, 200])
def test_bars_fit_into_every_terminal(width: int) -> None:
    """No line is wider than the terminal, and the bars are below the problems, which are printed once."""
    run = Pretended()
    with run.screen(terminal=True, width=width, sunset=NOON + timedelta(days=1)) as screen:
        screen.take(run.begun(40))
        go_on(run, screen, seconds=4)
        screen.take(missing(7))
        go_on(run, screen, seconds=5)
        screen.take(FilesBegun(total=4, before=1))
        screen.take(DownloadRow(file_id="file-1", outcome=DownloadOutcome.FAILED, reason="500"))
        run.waits = 5.0
        screen.tick()
        screen.take(Notice("a key was refused"))
    shown = plain(written(screen))
    problems = ["thread_7: missing: No thread found", "file-1: failed: 500", "threadkeep: a key was refused"]
    assert [line for line in shown if line in problems] == problems
    assert max(len(line) for line in shown if line not in problems) <= width
    assert any(line.endswith("10/40") for line in shown)
    assert any(line.startswith("files") and line.endswith("2/4") for line in shown)
    assert any("waiting 5 s" in line for line in shown)
    assert "left" not in shown[-1]
    assert written(screen).endswith("\n\x1b[?25h")


def plain(text: str) -> list[str]:
    """What a terminal was sent, without colours and movements of the cursor, line by line."""
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text))
    return [line.rstrip() for line in lines if line.strip()]


@given(pieces=st.lists(st.text(st.characters(categories=["L"]), min_size=1, max_size=20)), width=st.integers(1, 60))
def test_pieces_are_never_torn(pieces: list[str], width: int) -> None:
    """All of them, in their order, and no line too long but of one piece that is."""
    lines = wrapped(pieces, width)
    assert [piece for line in lines for piece in line.split(", ")] == pieces
    assert all(len(line) <= width or ", " not in line for line in lines)


@given(total=st.integers(0, 10**6), before=st.integers(0, 10**6), now=st.integers(0, 10**6), at=st.floats(0, 1e6))
def test_the_time_left_is_never_negative(total: int, before: int, now: int, at: float) -> None:
    """Whatever the counts are, and at the end it is nothing."""
    task = Task(TaskID(0), "", total, before + now, _get_time=lambda: at, fields={"before": before})
    task.start_time = 0.0
    left = time_left(task)
    assert left is None or left >= 0
    assert left is None or before + now < total or left == 0


@pytest.mark.parametrize(
    ("seconds", "words"), [(-1, "0:00:00"), (59.9, "0:00:59"), (172_799, "47:59:59"), (172_800, "2 days")]
)
def test_lengths_of_time(seconds: float, words: str) -> None:
    """Hours, minutes and seconds, and days where there are many."""
    assert span(seconds) == words


def test_thousands_of_problems_do_not_run_over_the_screen() -> None:
    """The first are printed, then how many more there were, once."""
    run = Pretended()
    with run.screen() as screen:
        screen.take(run.begun(10_000))
        for number in range(10_000):
            screen.take(missing(number))
    assert written(screen).splitlines() == [
        *(f"thread_{number}: missing: No thread found" for number in range(3)),
        "… and 9,997 more missing: No thread found",
    ]


@pytest.mark.parametrize("shown", [True, False])
def test_an_export_that_will_not_end_before_the_sunset_is_warned_of_once(shown: bool) -> None:
    """As soon as there is ground to say so, quiet or not."""
    run = Pretended()
    with run.screen(shown=shown, sunset=NOON + timedelta(seconds=60)) as screen:
        screen.take(run.begun(1000))
        go_on(run, screen, seconds=9)
        assert written(screen) == ""
        go_on(run, screen, seconds=30)
    warnings = [line for line in written(screen).splitlines() if "at this pace" in line]
    assert len(warnings) == 1
    assert "ends 0:15:40 after the sunset, 2027-03-30 12:01 UTC" in warnings[0]
    assert ("0:00:50 to the sunset" in written(screen)) is shown


def test_an_export_that_will_is_not_warned() -> None:
    """Nor one whose files alone are left, since they outlive the sunset."""
    run = Pretended()
    with run.screen(sunset=NOON + timedelta(seconds=90)) as screen:
        screen.take(run.begun(40))
        go_on(run, screen, seconds=40)
        screen.take(FilesBegun(total=1000, before=0))
        go_on(run, screen, seconds=100)
    assert "at this pace" not in written(screen)
    assert "past" not in written(screen)


def test_a_sunset_that_is_past_is_named_once() -> None:
    """At once; the first answers may say otherwise."""
    run = Pretended()
    with run.screen(sunset=NOON - timedelta(days=1)) as screen:
        screen.take(run.begun(40))
        screen.tick()
        go_on(run, screen, seconds=5)
    assert written(screen).splitlines() == [
        "threadkeep: the sunset, 2027-03-29 12:00 UTC, is past: asking as long as there are answers"
    ]


class Gone(io.StringIO):
    """What a terminal that was closed is, and a pipe that nobody reads."""

    broken = False

    def write(self, text: str) -> int:
        if self.broken:
            raise OSError(5, "Input/output error")
        return super().write(text)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_reader_that_has_gone_away_ends_nothing(terminal: bool) -> None:
    """Problems and lines are written into nothing."""
    run, file = Pretended(), Gone()
    with Screen(
        shown=True, clock=run.clock, now=run.now, console=Console(file=file, force_terminal=terminal, width=80)
    ) as screen:
        screen.take(run.begun(40))
        file.broken = True
        screen.take(missing(1))
        screen.take(FilesBegun(total=4, before=1))
        go_on(run, screen, seconds=20)


def test_a_log_that_wants_colours_gets_no_bars(
    base_url: str, threadkeep: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on servers that build and test."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    (tmp_path / "ids.txt").write_text("thread_none")
    done = threadkeep("export", tmp_path / "ids.txt", "asst_a", tmp_path / "o", "--base-url", base_url)
    assert done.err.splitlines()[0] == "thread_none: missing: No thread found with id 'thread_none'."


@pytest.mark.usefixtures("base_url")
def test_a_real_run_in_a_terminal(
    fake: FakeAssistants, threadkeep: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bars on standard error, the last ones full, with the requests that there were, also those for files."""
    consoles = show_in_a_terminal(monkeypatch)
    ids = three_threads(fake, tmp_path)
    done = threadkeep("export", ids, ASSISTANT, tmp_path / "o", "--files", "--sunset", "2999-01-01")
    assert (done.code, done.err) == (0, "")
    shown = plain(consoles[0].file.getvalue())  # type: ignore[attr-defined]
    assert shown[-1] == "6 messages, 5 requests, 0 answered 429"
    assert any(line.startswith("threads") and line.endswith("3/3") for line in shown)
    assert any(line.startswith("files") and line.endswith("1/1") for line in shown)
    assert done.out.splitlines()[-1] == f"Next: threadkeep validate --ids={ids} {tmp_path / 'o'}"


def show_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Sequence[Console]:
    """Let the next run think that it has one; gives the console that it makes."""
    consoles: list[Console] = []

    def screen(**options: Any) -> Screen:
        consoles.append(Console(file=io.StringIO(), force_terminal=True, width=80, _environ={"TERM": "xterm"}))
        return Screen(**options, console=consoles[0])

    monkeypatch.setattr(runtime, "Screen", screen)
    return consoles


def three_threads(fake: FakeAssistants, folder: Path) -> Path:
    """Threads of two messages each, one of them with a file; gives the file of their ids."""
    image = {"type": "image_file", "image_file": {"file_id": "file-1"}}
    fake.load(
        {
            "threads": [{"id": f"thread_{number}"} for number in range(3)],
            "messages": [
                {"id": f"msg_{number}", "thread_id": f"thread_{number % 3}", "content": [image] if number == 0 else []}
                for number in range(6)
            ],
            "files": [{"id": "file-1", "object": "file", "purpose": "vision", "filename": "x.png", "bytes": 1}],
            "file_contents": [{"id": "file-1", "content": "eA=="}],
        }
    )
    return write_ids(folder, "thread_0", "thread_1", "thread_2")


@pytest.mark.usefixtures("base_url")
def test_the_summary_for_programs_says_all_of_it(fake: FakeAssistants, threadkeep: Run, tmp_path: Path) -> None:
    """Files, what was complete before, and the next command."""
    ids = three_threads(fake, tmp_path)
    arguments = ("export", ids, ASSISTANT, tmp_path / "o", "--files", "--include", "threads", "--json")
    assert threadkeep(*arguments, "--limit", 1).code == 0
    done = threadkeep(*arguments)
    summary = json.loads(done.out)
    assert (done.err, summary["already_complete"], summary["problems"], summary["not_saved"]) == ("", 1, [], [])
    assert summary["downloads"]["saved"] == 1
    assert summary["totals"] == {"threads": 3, "messages": 6, "partial_messages": 0}
    assert summary["next"] == {"words": "", "command": f"threadkeep validate --ids={ids} {tmp_path / 'o'}"}


@pytest.mark.usefixtures("base_url")
@pytest.mark.parametrize("moment", ["2020-01-01", "2020-01-01T02:00+02:00", "2020-01-01T00:00Z"])
def test_a_moment_is_utc_unless_it_says_otherwise(
    moment: str, fake: FakeAssistants, threadkeep: Run, tmp_path: Path
) -> None:
    """A date is its beginning."""
    done = threadkeep("export", three_threads(fake, tmp_path), ASSISTANT, tmp_path / "o", "--sunset", moment)
    assert done.code == 0
    assert "the sunset, 2020-01-01 " in done.err


@pytest.mark.parametrize(
    ("address", "typed", "expected"),
    [
        (FOUNDRY, [], datetime(2027, 3, 31, tzinfo=UTC)),
        (
            FOUNDRY,
            ["--sunset", "2027-01-01"],
            datetime(2027, 1, 1, tzinfo=UTC),
        ),
        ("http://127.0.0.1:1/v1", [], None),
    ],
)
def test_a_sunset_that_is_known_of_an_address_is_shown(
    address: str,
    typed: list[str],
    expected: datetime | None,
    threadkeep: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Foundry's date is documented; what is typed goes before it."""
    asked: list[datetime | None] = []

    def no_run(*_arguments: object, sunset: datetime | None, **_options: object) -> None:
        asked.append(sunset)
        raise Interrupted("interrupted")

    monkeypatch.setattr(import_module("threadkeep.cli.commands.export"), "run_job", no_run)
    (tmp_path / "ids.txt").write_text("thread_a")
    assert (
        threadkeep("export", tmp_path / "ids.txt", ASSISTANT, tmp_path / "o", "--base-url", address, *typed).code == 130
    )
    assert asked == [expected]
