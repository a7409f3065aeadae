"""An export compared with a live API over real HTTP: what happened since, and what ends or disturbs the check."""

import io
import json
import os
import signal
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import click
import pytest
from click.testing import CliRunner
from rich.console import Console

from exporting import no_wait
from exports import ASSISTANT
from fake_assistants import FakeAssistants, demo_world
from threadkeep import export
from threadkeep.api.client import PacingOptions
from threadkeep.api.endpoints import ApiSource
from threadkeep.cli.commands.validate import report_live_ending, run_live
from threadkeep.cli.exit_codes import Exit
from threadkeep.cli.progress_display import Screen
from threadkeep.cli.source_options import OptionalSource, optional_source_options
from threadkeep.errors import AccessRefused, ApiGone, ServerUnreachable
from threadkeep.validation.entrypoints import validated
from threadkeep.validation.findings import Finding
from threadkeep.validation.live import CheckedExport, LiveOutcome, checked_export
from threadkeep.validation.report import Live
from watched import Watched, what_is_behind


@pytest.fixture
def fake() -> Watched:
    """Ten threads, of which the first has three pages."""
    return Watched.holding(demo_world(10, 5), demo_world(1, 230))


def exported(out: Path, fake: FakeAssistants, **options: Any) -> CheckedExport:
    """Export all threads of the fake; returns what there is to compare."""
    ids = [thread["id"] for thread in fake.snapshot()["threads"]]
    assert export(ids, ASSISTANT, out, **options).is_complete
    return checked_export(validated(out))


def check(out: Path, fake: FakeAssistants, **options: Any) -> LiveOutcome:
    """Compare an export that is there."""
    fake.requests.clear()
    return run_live(checked_export(validated(out)), ApiSource(), shown=False, **options)


def tell(base_url: str, method: str, path: str, body: object = None) -> Any:
    """Change something through the API."""
    headers = {"Authorization": "Bearer sk-test", "OpenAI-Beta": "assistants=v2", "Content-Type": "application/json"}
    content = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(f"{base_url}{path}", content, headers, method=method)
    with urllib.request.urlopen(asked) as answer:
        return json.load(answer)


def summary(findings: Sequence[Finding]) -> set[tuple[str, str | None, str | None]]:
    """The code, thread and message of each finding."""
    return {(one.code, one.thread_id, one.message_id) for one in findings}


@pytest.mark.parametrize("flat", [False, True])
def test_an_export_of_what_is_still_there_has_no_finding(flat: bool, fake: Watched, base_url: str, out: Path) -> None:
    """Every thread is walked again, each page once. Nothing else is asked for, and nothing is changed."""
    exported(out, fake, flat=flat)
    fake.asked.clear()
    outcome = check(out, fake)
    assert (outcome.findings, outcome.ended_by, report_live_ending(outcome)) == ((), None, None)
    assert outcome.live == Live(source=base_url, wanted=10, compared=10, new_messages=0)
    assert len(fake.asked) == 9 + 3
    assert {(request.method, request.path.rpartition("/")[2]) for request in fake.asked} == {("GET", "messages")}


def test_each_change_since_has_its_code(fake: Watched, base_url: str, out: Path) -> None:
    """Growth, deletion and other metadata, as the API itself makes them; and a line that somebody took away."""
    before = exported(out, fake)
    grown, shrunk, marked, gone, robbed = (one.thread_id for one in before.threads[:5])
    of = {row["thread_id"]: row["id"] for row in fake.snapshot()["messages"]}
    new = tell(base_url, "POST", f"/threads/{grown}/messages", {"role": "user", "content": "and then?"})["id"]
    tell(base_url, "DELETE", f"/threads/{shrunk}/messages/{of[shrunk]}")
    tell(base_url, "POST", f"/threads/{marked}/messages/{of[marked]}", {"metadata": {"seen": "yes"}})
    tell(base_url, "DELETE", f"/threads/{gone}")
    lines = out.read_bytes().split(b"\n")
    place = before.threads[4].place
    assert place is not None
    lost = json.loads(lines.pop(place.line))["message_id"]
    out.write_bytes(b"\n".join(lines))
    outcome = check(out, fake)
    assert summary(outcome.findings) == {
        ("new_message", grown, new),
        ("deleted_message", shrunk, of[shrunk]),
        ("changed_metadata", marked, of[marked]),
        ("deleted_thread", gone, None),
        ("lost_message", robbed, lost),
    }
    assert (outcome.live.compared, outcome.live.new_messages) == (10, 1)


def test_refusals_by_the_rate_limit_and_faults_leave_no_trace(fake: Watched, base_url: str, out: Path) -> None:
    """429s, broken answers and pages that lie are asked again."""
    del base_url
    exported(out, fake)
    fake.faults = [
        {"match": {"path": "/messages$", "nth": 2}, "do": {"status": 429, "headers": {"retry-after-ms": "1"}}},
        {"match": {"path": "/messages$", "nth": 7}, "do": {"status": 500}},
        {"match": {"path": "/messages$", "nth": 9}, "do": {"drop": "mid-body"}},
        {"match": {"path": "/messages$", "nth": 11}, "do": {"truncate": 100}},
    ]
    outcome = check(out, fake, pace=PacingOptions(sleep=no_wait))
    assert (outcome.findings, outcome.live.compared) == ((), 10)
    assert len([entry for entry in fake.requests if entry.fault]) == 4


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_an_interruption_is_130_with_what_was_compared(
    name: str, fake: Watched, base_url: str, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As everywhere."""
    del base_url
    made = exported(out, fake)
    by_size = sorted(made.threads, key=lambda one: one.place.messages if one.place is not None else 0)
    fake.before(lambda: os.kill(os.getpid(), getattr(signal, name)), of=what_is_behind)
    outcome = run_live(attrs.evolve(made, threads=by_size), ApiSource(), shown=False, concurrency=1)
    assert report_live_ending(outcome) is Exit.INTERRUPTED
    assert (outcome.live.compared, outcome.live.ended_by) == (9, "interrupted")
    assert summary(outcome.findings) == {("not_compared", None, None)}
    assert "interrupted (compared: 9 of 10 threads)" in capsys.readouterr().err


refused = AccessRefused("401")
refused.variables = ("OPENAI_API_KEY",)


@pytest.mark.parametrize(
    ("ended_by", "code", "step"),
    [
        (ApiGone("410"), Exit.GONE, "The findings are of what was compared until then."),
        (refused, Exit.REFUSED, "Check the key or token (OPENAI_API_KEY, --keys-file or --token-command), and what"),
        (ServerUnreachable("no route"), Exit.INCOMPLETE, "Check the address and the network."),
    ],
)
def test_what_else_ends_a_check_has_its_own_next_step(
    ended_by: Any, code: Exit, step: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As for an export."""
    live = Live(source="https://api.test/v1", wanted=1, compared=0, new_messages=0, ended_by=str(ended_by))
    assert report_live_ending(LiveOutcome(findings=(), live=live, ended_by=ended_by)) is code
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"threadkeep: {ended_by} (compared: 0 of 1 thread)"
    assert step in second


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--ids")
@click.option("--live", is_flag=True)
@click.option("--from", "exported_from")
@optional_source_options("Where from")
def perhaps(out: Path, ids: str | None, live: bool, exported_from: str | None, source: OptionalSource) -> int:
    """A command that asks only with --live."""
    del out, ids
    if live:
        click.echo(repr(source.source(exported_from).base_url))
    else:
        source.refuse("--live")
    return 0


def typed(*arguments: object) -> tuple[int, str]:
    """The command's exit code, and its output."""
    done = CliRunner().invoke(perhaps, [str(argument) for argument in ("out.ndjson", *arguments)])
    return done.exit_code, done.output


class TestWhereToAsk:
    """The options of a source for a command that may ask."""

    def test_without_live_nothing_is_read_or_announced(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Neither a key nor OpenAI's end; an option that has no use is refused."""
        monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
        assert typed() == (0, "")
        code, words = typed("--keys-file", "/nonexistent")
        assert (code, "--keys-file says where to ask, which only --live does." in words) == (2, True)

    def test_what_is_typed_goes_before_the_environment_and_that_before_the_journal(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And where there is none of them it is OpenAI's own, which is announced."""
        foundry = "https://r.services.ai.azure.com/api/projects/p"
        monkeypatch.setenv("OPENAI_BASE_URL", "https://one.test/v1")
        assert typed("--live", "--from", foundry, "--base-url", "https://two.test/v1")[1] == "'https://two.test/v1'\n"
        assert typed("--live", "--from", foundry) == (0, "None\n")
        monkeypatch.delenv("OPENAI_BASE_URL")
        assert typed("--live", "--from", foundry) == (0, f"{foundry!r}\n")
        assert "OpenAI closed the Assistants API" in typed("--live")[1]
        assert "OpenAI closed the Assistants API" in typed("--live", "--from", "https://api.openai.com/v1")[1]

    @pytest.mark.parametrize(
        "address",
        [
            "https://my.test/v1",
            "http://api.openai.com/v1",
            "https://api.openai.com.my.test/v1",
            "https://api.openai.com@my.test/v1",
            "https://my.test\\@api.openai.com/v1",
            "https://api.openai.com:444/v1",
            "https://r.services.ai.azure.com/elsewhere",
            "no address",
        ],
    )
    def test_a_key_goes_to_no_other_address_that_only_a_file_names(
        self, address: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever hands an export on may have written it. It can be typed."""
        monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
        code, words = typed("--live", "--from", address)
        assert (code, "the key is sent to none that only a file names" in " ".join(words.split())) == (2, True)

    def test_the_file_of_keys_is_not_taken_for_that_of_ids(self, tmp_path: Path) -> None:
        """Its lines would be printed as wrong ids."""
        keys = tmp_path / "keys.txt"
        keys.write_text("sk-secret")
        code, words = typed("--live", "--ids", keys, "--keys-file", keys)
        assert (code, "are the same file" in words, "sk-secret" in words) == (2, True, False)


# --- what is seen meanwhile


def test_progress_is_shown_in_a_terminal(
    fake: Watched, base_url: str, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bars as an export has: threads, messages, requests."""
    del base_url
    made = exported(out, fake)
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=80, _environ={"TERM": "xterm"})
    monkeypatch.setattr("threadkeep.cli.runtime.Screen", lambda **options: Screen(**options, console=console))
    outcome = run_live(made, ApiSource())
    assert outcome.findings == ()
    assert "10/10" in file.getvalue()
    assert "275 messages, 12 requests, 0 answered 429" in file.getvalue()


def test_a_line_now_and_then_elsewhere(
    fake: Watched, base_url: str, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """How far it is; nothing where nothing is to be shown."""
    del base_url
    made = exported(out, fake)
    monkeypatch.setattr("threadkeep.cli.progress_display._SELDOM", 0.0)
    run_live(made, ApiSource(), shown=False)
    assert capsys.readouterr().err == ""
    run_live(made, ApiSource())
    assert capsys.readouterr().err.startswith("threadkeep: threads 0 of 10, 0 messages, 0 requests")
