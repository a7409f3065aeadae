"""``threadkeep chat``: in a real pseudo-terminal, and with lines from a pipe, against the fake."""

import io
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command import Done, Run
from converting import put_bare, text_message
from exporting import PATIENCE
from exports import ASSISTANT, write_ids
from fake_assistants import FakeAssistants
from ports import kept_port
from processes import started
from sdkage import HAS_RESPONSES, MODEL_APIS
from small_world import world
from terminal import END, Terminal, in_terminal
from threadkeep import open_history
from threadkeep.cli.commands.chat import _print_begin as print_begin
from threadkeep.cli.streamed_text import StreamedText
from threadkeep.history.session import SyncHistory
from threadkeep.html_report.visible_text import visible
from watched import Watched

pytestmark = pytest.mark.usefixtures("base_url")

PROMPT = "\n> "
SLOWLY = {"reply": "one two three", "pause": PATIENCE}


def chat(history: object, *arguments: object) -> Any:
    """The command in a terminal."""
    return in_terminal("chat", "--history", history, "--model", "m", *arguments)


def texts(history: Path, session_id: str = "default") -> list[str]:
    """What a history holds."""
    items = open_history(history, session_id).sync.get_items()
    return [item["content"] if isinstance(item["content"], str) else item["content"][0]["text"] for item in items]


def say(terminal: Terminal, text: str) -> str:
    """Type a message, and return what is shown before the next prompt."""
    terminal.type(f"{text}\n")
    terminal.wait_for(f"{text}\n")
    return terminal.wait_for(PROMPT)


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """A file for a history."""
    return tmp_path / "chat.json"


# --- in a terminal


@pytest.mark.parametrize("api", MODEL_APIS)
def test_a_session_in_a_terminal(fake: Watched, history: Path, api: str) -> None:
    """Streamed replies, several lines, Ctrl-C in a reply and at the prompt, Ctrl-D; each turn is stored at once."""
    with chat(history, "--api", api) as terminal:
        terminal.wait_for(f"default in {history} is empty.\n")
        terminal.wait_for(PROMPT)
        assert say(terminal, "What is 3x + 11?") == "What is 3x + 11?"
        assert texts(history) == ["What is 3x + 11?"] * 2

        fake.script = {"responses": [[SLOWLY]]}
        terminal.type("slowly\n")
        terminal.wait_for("slowly\none")
        terminal.interrupt("threadkeep: the reply was stopped, and nothing of this turn is stored")
        terminal.wait_for(PROMPT)
        assert len(texts(history)) == 2

        terminal.type("never sent")
        terminal.wait_for("never sent")
        terminal.interrupt(PROMPT)

        terminal.type('"""one\n')
        terminal.wait_for("... ")
        terminal.type("\n")
        terminal.wait_for("... ")
        terminal.type('three"""\n')
        terminal.wait_for("one\n\nthree")
        terminal.wait_for(PROMPT)
        terminal.type(END)
        assert terminal.ended() == 0
    assert texts(history) == ["What is 3x + 11?"] * 2 + ["one\n\nthree"] * 2
    assert len(fake.asked) == 3


def test_an_exported_thread_is_gone_on_with_in_a_second_session_too(tmp_path: Path) -> None:
    """The last messages are shown. The second session needs the history only; the thread's id names the session."""
    role = ("user", "assistant")
    out = put_bare(tmp_path / "out.ndjson", [text_message(n, role[n % 2], f"text {n}") for n in range(6)])
    history = tmp_path / "chat.jsonl"
    with chat(history, "thread_a", "--from", out) as terminal:
        terminal.wait_for(f"6 messages of thread_a added to {history}.\n")
        terminal.wait_for("user: text 2\nassistant: text 3\nuser: text 4\nassistant: text 5\n> ")
        terminal.type("Go on.\n")
        terminal.wait_for("Go on.\nGo on.\n> ")
        terminal.type("/exit\n")
        assert terminal.ended() == 0
    out.unlink()
    with chat(history, "thread_a", "--from", out) as terminal:
        terminal.wait_for(f"thread_a in {history} has 8 items.\n")
        terminal.wait_for("assistant: text 5\nuser: Go on.\nassistant: Go on.\n> ")
        terminal.type(END)
        assert terminal.ended() == 0
    assert texts(history, "thread_a") == [*(f"text {n}" for n in range(6)), "Go on.", "Go on."]


def test_a_turn_that_fails_is_told_and_its_text_comes_back(fake: Watched, history: Path) -> None:
    """The program goes on: the arrow key, here Ctrl-P, brings the message back."""
    error = {"status": 500, "headers": {"x-should-retry": "false"}, "body": {"error": {"message": "Boom"}}}
    fake.faults = [{"match": {"times": 1}, "do": error}]
    with chat(history) as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("a long question\n")
        terminal.wait_for("threadkeep: 500 from ")
        assert "Boom" in terminal.wait_for("Nothing of this turn is stored. The arrow key brings your message back.")
        terminal.wait_for(PROMPT)
        assert not history.exists()
        terminal.type("\x10\n")
        terminal.wait_for("a long question\na long question\n> ")
        terminal.type(END)
        assert terminal.ended() == 0
    assert texts(history) == ["a long question"] * 2


def test_what_is_typed_and_is_no_text_is_named(history: Path) -> None:
    """The program waits for the next message."""
    with chat(history) as terminal:
        terminal.wait_for(PROMPT)
        terminal.type(b"ab\xff\n")
        terminal.wait_for("threadkeep: the input is not UTF-8\n> ")
        terminal.type("hello\n")
        terminal.wait_for("hello\nhello\n> ")
        terminal.type(END)
        assert terminal.ended() == 0
    assert texts(history) == ["hello"] * 2


def test_a_refused_key_ends_the_session(history: Path) -> None:
    """With 4, and with what to do."""
    with FakeAssistants(api_keys=["sk-right"]).serve() as server, chat(history, "--base-url", server.base_url) as shown:
        shown.wait_for(PROMPT)
        shown.type("hello\n")
        shown.wait_for("Check the key")
        assert shown.ended() == 4
        assert "sk-test" not in shown.shown
    assert not history.exists()


@pytest.mark.parametrize("is_replying", [False, True])
def test_a_signal_that_is_not_ctrl_c_ends_the_program(fake: Watched, history: Path, is_replying: bool) -> None:
    """In a reply and at the prompt, with 130; nothing of the turn is stored."""
    fake.script = {"default": [SLOWLY]}
    with chat(history) as terminal:
        terminal.wait_for(PROMPT)
        if is_replying:
            terminal.type("slowly\n")
            terminal.wait_for("slowly\none")
        assert terminal.terminate() == 130
        assert "interrupted" in terminal.shown
    assert not history.exists()


def test_what_a_model_or_a_history_says_cannot_command_the_terminal(fake: Watched, history: Path) -> None:
    """Control characters are shown as escapes, also in the messages that are shown at the beginning."""
    fake.script = {"default": [{"reply": "\x1b[31mred\x07", "chunk": 1}]}
    with chat(history) as terminal:
        terminal.wait_for(PROMPT)
        assert say(terminal, "x") == "\\u001b[31mred\\u0007"
        terminal.type(END)
        terminal.ended()
    with chat(history) as terminal:
        terminal.wait_for("assistant: \\u001b[31mred\\u0007\n> ")
        terminal.type(END)
        terminal.ended()
        assert "\x1b" not in terminal.shown


@pytest.mark.usefixtures("fake")
def test_the_texts_of_a_message_are_shown_on_lines_of_their_own(history: Path) -> None:
    """As an exported thread has them, which may have several texts in a message."""
    parts = [{"type": "text", "text": "Let me look."}, {"type": "text", "text": "Here it is."}]
    open_history(history).sync.add_items([{"role": "user", "content": parts}])
    with chat(history) as terminal:
        terminal.wait_for("user: Let me look.\nHere it is.\n> ")
        terminal.type(END)
        terminal.ended()


def test_a_refusal_and_a_cut_are_said(fake: Watched, history: Path) -> None:
    """Both turns are stored."""
    fake.script = {"responses": [[{"refuse": "I cannot."}], [{"reply": "so"}, {"incomplete": "max_tokens"}]]}
    with chat(history) as terminal:
        terminal.wait_for(PROMPT)
        assert say(terminal, "a") == "threadkeep: the model refuses: I cannot."
        assert say(terminal, "b") == "so\nthreadkeep: the reply is cut off (length), and stored as it is"
        terminal.type(END)
        assert terminal.ended() == 0
    assert len(open_history(history).sync.get_items()) == 4


# --- lines from a pipe


@pytest.fixture
def piped(threadkeep: Run, monkeypatch: pytest.MonkeyPatch, history: Path) -> Any:
    """The command in this process, with lines from a pipe."""

    def command(
        lines: str | bytes,
        *arguments: object,
        url: object = history,
        model: Sequence[str] = ("m",),
        errors: str = "strict",
        newline: str | None = None,
    ) -> Done:
        content = lines.encode() if isinstance(lines, str) else lines
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), "utf-8", errors, newline))
        return threadkeep("chat", "--history", url, "--model", *model, *arguments)

    return command


def test_lines_from_a_pipe_are_turns(fake: Watched, piped: Any, history: Path) -> None:
    """No prompt, nothing but the replies; blank lines are none, and the last line needs no end."""
    done = piped('one\n\n  \n"""two\nlines"""\n"""three\n\nopen', "--instructions", "Be brief.")
    assert (done.code, done.out, done.err) == (0, "one\ntwo\nlines\nthree\n\nopen\n", "")
    assert texts(history) == ["one", "one", "two\nlines", "two\nlines", "three\n\nopen", "three\n\nopen"]
    sent = json.loads(fake.asked[-1].body)
    assert (sent["model"], len(sent["messages"])) == ("m", 6)
    assert sent["messages"][0] == {"role": "system", "content": "Be brief."}


FAILURES: list[tuple[dict[str, Any], int, str]] = [
    ({"status": 500}, 1, "500 from"),
    ({"status": 429}, 1, "429 from"),
    ({"status": 429, "body": {"error": {"code": "insufficient_quota", "message": "Spent."}}}, 4, "quota"),
    ({"status": 401}, 4, "Check the key"),
    ({"status": 404, "body": {"error": {"message": "The model `m` does not exist"}}}, 1, "The model `m` does not"),
    ({"status": 404, "body": ""}, 2, "has no such route: 404"),
    ({"status": 400, "body": {"error": {"message": "Bad."}}}, 1, "Bad."),
    ({"status": 200, "body": "no stream"}, 1, "broke off"),
]


@pytest.mark.parametrize(("do", "code", "words"), FAILURES, ids=lambda value: str(value)[:40])
def test_a_turn_that_fails_gives_the_exit_code(
    fake: Watched, piped: Any, history: Path, do: dict[str, Any], code: int, words: str
) -> None:
    """Nothing of it is stored, and no later line is sent."""
    fake.faults = [{"match": {}, "do": {"headers": {"x-should-retry": "false"}, **do}}]
    done = piped("one\ntwo\n")
    assert (done.code, done.out) == (code, "")
    assert words in done.err
    assert len(fake.asked) == 1
    assert not history.exists()


def test_an_address_that_nobody_answers_at(piped: Any) -> None:
    """Exit 1, with the address."""
    with kept_port() as port:
        done = piped("x\n", "--base-url", f"http://127.0.0.1:{port}/v1")
    assert done.code == 1
    assert "no complete answer from http://127.0.0.1:" in done.err


def test_a_damaged_history_is_set_aside_and_named(piped: Any, history: Path) -> None:
    """Exit 5; the next call begins with an empty one."""
    history.write_bytes(b'[{"role"')
    done = piped("x\n")
    (aside,) = history.parent.glob("chat.json.corrupt-*")
    assert done.code == 5
    assert f"threadkeep.recover('{aside}') returns 0 items." in done.err
    assert aside.read_bytes() == b'[{"role"'
    assert piped("x\n").code == 0


USAGE: list[tuple[tuple[str, ...], str]] = [
    (("thread_a",), "Give THREAD_ID and --from together"),
    (("--from", "out.ndjson"), "Give THREAD_ID and --from together"),
    (("thread_a", "--from", "out.ndjson", "--session", "s"), "leave out --session"),
    (("--api", "assistants"), "'assistants' is not one of"),
    (("--max-tokens", "0"), "--max-tokens"),
    (("--history", "chat.txt"), "names no kind of history"),
    (("--token-command", "x", "--keys-file", "y"), "not both"),
    (("--base-url", "nowhere"), "is not an address"),
]


@pytest.mark.parametrize(("arguments", "words"), USAGE)
def test_what_cannot_be_meant_is_refused(fake: Watched, piped: Any, arguments: tuple[str, ...], words: str) -> None:
    """Exit 2, and nothing is sent."""
    done = piped("x\n", *arguments)
    assert done.code == 2
    assert words in done.err
    assert not fake.asked


def test_responses_need_an_sdk_that_has_them(piped: Any) -> None:
    """Exit 2 with one that has not."""
    done = piped("x\n", "--api", "responses")
    assert (done.code, "Install openai" in done.err) == ((0, False) if HAS_RESPONSES else (2, True))


def test_a_thread_that_the_export_does_not_have_is_named(piped: Any, tmp_path: Path) -> None:
    """Exit 2."""
    out = put_bare(tmp_path / "out.ndjson", [text_message(1)])
    done = piped("x\n", "thread_b", "--from", out)
    assert (done.code, "thread_b is not a thread of" in done.err) == (2, True)


def test_losses_of_a_thread_are_counted(piped: Any, tmp_path: Path) -> None:
    """On standard error, when its messages are added."""
    image = {"type": "image_file", "image_file": {"file_id": "file-1"}}
    rows = [text_message(1), text_message(2, content=[image]), text_message(3, content=[image], metadata={"a": "b"})]
    done = piped("x\n", "thread_a", "--from", put_bare(tmp_path / "out.ndjson", rows))
    assert (done.code, done.out) == (0, "x\n")
    assert done.err == "threadkeep: not carried over from the thread: 2 image_file, 1 metadata\n"


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
@pytest.mark.parametrize("content", [b"\xff\n", b'"""a\n\xff"""\n'])
def test_input_that_is_no_text_is_refused(piped: Any, content: bytes, errors: str) -> None:
    """Exit 2, also where Python reads such bytes as lone surrogates, as it does without a locale."""
    done = piped(content, errors=errors)
    assert (done.code, done.err) == (2, "threadkeep: the input is not UTF-8\n")


def test_a_history_that_cannot_be_there_ends_with_5(fake: Watched, piped: Any, tmp_path: Path) -> None:
    """Before anything is asked: a reply that cannot be stored would be lost."""
    (tmp_path / "file").touch()
    for folder in ("file", "missing"):
        done = piped("x\n", url=tmp_path / folder / "chat.json")
        assert done.code == 5
        assert f"{folder} does not exist" in done.err or f"{folder} is not a folder" in done.err
    assert not fake.requests


def interrupt_main_thread(number: int) -> Callable[[], None]:
    """What sends this process a signal, as the terminal does."""
    main = threading.main_thread().ident
    assert main is not None
    return lambda: signal.pthread_kill(main, number)


def test_ctrl_c_ends_a_pipe(fake: Watched, piped: Any, history: Path) -> None:
    """With 130; nothing of the turn is stored."""
    fake.script = {"default": [SLOWLY]}
    fake.before(interrupt_main_thread(signal.SIGINT))
    done = piped("x\n")
    assert (done.code, done.err.strip()) == (130, "threadkeep: interrupted")
    assert not history.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_turn_is_stored_waits_for_its_end(
    piped: Any, history: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Then Ctrl-C has come too late to stop it, and SIGTERM ends the program."""
    add = SyncHistory.add_items

    def interrupted(self: SyncHistory, items: Any) -> None:
        signal.raise_signal(number)
        add(self, items)

    monkeypatch.setattr(SyncHistory, "add_items", interrupted)
    done = piped("one\n")
    assert done.code == (0 if number == signal.SIGINT else 130)
    assert texts(history) == ["one", "one"]


def test_nobody_reads_the_replies(history: Path) -> None:
    """As with ``| head``: no error, and the turn that nobody read is not stored."""
    with started("chat", "--history", history, "--model", "m", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.write(b"x\n")
        process.stdin.close()
        assert (process.wait(PATIENCE), process.stderr.read()) == (0, b"")
    assert not history.exists()


def test_a_thread_that_is_not_complete_is_named(
    fake: Watched, base_url: str, piped: Any, threadkeep: Run, tmp_path: Path
) -> None:
    """With what is missing of it."""
    fake.load(world().snapshot())
    fake.faults = [{"match": {"thread": "thread_b", "nth": [2], "times": 100}, "do": {"status": 400, "body": {}}}]
    ids, out = write_ids(tmp_path, "thread_b"), tmp_path / "out.ndjson"
    threadkeep("export", ids, ASSISTANT, out, "--base-url", base_url, "--quiet")
    done = piped("x\n", "thread_b", "--from", out)
    assert done.code == 0
    assert done.err.startswith("threadkeep: the thread is partial in the export: ")


def test_a_password_of_a_database_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """In the first line that a terminal shows."""
    history = open_history("memory://passwords")
    print_begin(history, "default", "postgresql+asyncpg://me:s3cret@host/db", added=True)
    assert capsys.readouterr().out.startswith("default in postgresql+asyncpg://host/db is empty.")


def test_lines_of_windows_are_lines(piped: Any, history: Path) -> None:
    """The carriage return is no part of a message."""
    assert piped(b'one\r\n"""two\r\nlines"""\r\n', newline="\n").out == "one\ntwo\nlines\n"
    assert texts(history) == ["one", "one", "two\nlines", "two\nlines"]


def test_a_model_that_calls_a_function_nobody_gave_it(fake: Watched, piped: Any, history: Path) -> None:
    """Exit 1; it is not taken for a broken connection."""
    fake.script = {"default": [{"call": [{"name": "f", "arguments": {}}]}]}
    done = piped("x\n")
    assert (done.code, done.err) == (1, "threadkeep: the model calls 'f', and there is no on_call to answer it\n")
    assert not history.exists()


def test_no_input_at_all(threadkeep: Run, monkeypatch: pytest.MonkeyPatch, history: Path) -> None:
    """A closed standard input is an empty one."""
    monkeypatch.setattr(sys, "stdin", None)
    done = threadkeep("chat", "--history", history, "--model", "m")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_a_message_beyond_the_budget_is_refused(piped: Any) -> None:
    """Exit 2, and the option is named as it is typed."""
    done = piped("x\n", "--max-tokens", "5")
    assert (done.code, "does not fit into 5 tokens. Raise --max-tokens." in done.err) == (2, True)


# --- where it asks, and with what


def test_a_token_that_is_refused_is_renewed_once(piped: Any, history: Path, tmp_path: Path) -> None:
    """By the command; a turn is sent again with the new one."""
    tokens = tmp_path / "tokens"
    tokens.write_text("tok-expired\n")
    script = f"import pathlib; p = pathlib.Path({str(tokens)!r}); print(p.read_text()); p.write_text('tok-right')"
    command = f'{sys.executable} -c "{script}"'
    fake = Watched(api_keys=["tok-right"])
    with fake.serve() as server:
        done = piped("one\ntwo\n", "--base-url", server.base_url, "--token-command", command)
        assert (done.code, done.out) == (0, "one\ntwo\n")
        assert len(fake.asked) == 3
        tokens.write_text("tok-expired")
        script_of_wrong = f'{sys.executable} -c "print(1234567)"'
        done = piped("one\n", "--base-url", server.base_url, "--token-command", script_of_wrong)
        assert (done.code, "1234567" in done.err) == (4, False)
    assert texts(history) == ["one", "one", "two", "two"]


def test_the_header_of_azure_is_sent_alone(piped: Any) -> None:
    """No bearer next to it."""
    fake = Watched(profile="azure")
    with fake.serve() as server:
        done = piped("x\n", "--base-url", server.base_url, "--auth", "api-key", "--api-version", "preview")
    assert (done.code, done.out) == (0, "x\n")
    headers = {name.lower(): value for name, value in fake.asked[-1].headers.items()}
    assert (headers["api-key"], "authorization" in headers) == ("sk-test", False)
    assert fake.asked[-1].asked("api-version") == "preview"


def test_a_file_of_keys_gives_its_first(piped: Any, tmp_path: Path) -> None:
    """With its project; and nothing is printed of where threads are."""
    keys = tmp_path / "keys"
    keys.write_text("sk-first project=proj_1\nsk-second\n")
    keys.chmod(0o600)
    fake = Watched(api_keys=["sk-first"])
    with fake.serve() as server:
        done = piped("x\n", "--base-url", server.base_url, "--keys-file", keys)
    assert (done.code, done.err) == (0, "")
    assert {name.lower(): value for name, value in fake.asked[-1].headers.items()}["openai-project"] == "proj_1"


def test_no_message_shows_a_secret(fake: Watched, base_url: str, piped: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a key, an address with a password, or its query, whatever the server sends back."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-verysecret")
    words = "You sent sk-verysecret, pass-word-1 and code-in-query."
    fake.faults = [{"match": {}, "do": {"status": 401, "body": {"error": {"message": words}}}}]
    address = base_url.replace("http://", "http://me:pass-word-1@")
    done = piped("x\n", "--base-url", f"{address}?code=code-in-query")
    assert done.code == 4
    assert "You sent [key], [key] and [key]." in done.err


def test_without_a_key_nothing_begins(piped: Any, history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 4."""
    monkeypatch.setenv("OPENAI_API_KEY", "")
    done = piped("x\n")
    assert (done.code, "no key: set OPENAI_API_KEY" in done.err, history.exists()) == (4, True, False)


# --- text in pieces


@given(
    pieces=st.lists(
        st.text(st.sampled_from("a é\n\r\u200d\u200c\ufe0f\x1b👩💻\u202e") | st.characters(), max_size=4), max_size=8
    )
)
def test_pieces_are_shown_as_the_text_at_once(pieces: list[str]) -> None:
    """However a text is cut, nothing is shown otherwise."""
    shown = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("click.echo", lambda text="\n", **_: shown.write(text))
        with StreamedText() as text:
            for piece in pieces:
                text.add(piece)
    joined = "".join(pieces).replace("\r\n", "\n")
    assert shown.getvalue() == (f"{visible(joined)}\n" if joined else "")
