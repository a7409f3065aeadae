"""Tokens that a command prints: fetched, renewed once for all requests, never shown, and with a time limit."""

import asyncio
import os
import shlex
import sys
from pathlib import Path

import pytest

from threadkeep.api.tokens import TokenCommand, TokenSource
from threadkeep.errors import AccessRefused


def python(code: str) -> str:
    """A command line that runs some Python."""
    return shlex.join([sys.executable, "-c", code])


def counting(folder: Path) -> str:
    """A command that prints token-1, token-2 and so on."""
    code = f"p = __import__('pathlib').Path({str(folder / 'runs')!r}); p.open('a').write('x'); "
    return python(code + "print('token-' + str(len(p.read_text())))")


def token_source(folder: Path) -> TokenSource:
    """Return the source of a command that has printed token-1."""
    command = TokenCommand(counting(folder))
    return TokenSource(command.run(), command)


def test_what_is_printed_is_the_token() -> None:
    """Without the white space round it."""
    assert TokenCommand(python("print('  eyJ.abc-_=  ')")).run() == "eyJ.abc-_="


def test_no_shell_runs_the_command() -> None:
    """Letters with a meaning for a shell are part of the argument."""
    assert TokenCommand(python("import sys; print(sys.argv[1])") + " '$HOME|;&>x'").run() == "$HOME|;&>x"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "is empty, or has an open quotation mark"),
        ("az 'account", "is empty, or has an open quotation mark"),
        ("/no/such/program --secret s3cret", r"\(program\) cannot be run: No such file or directory"),
        ("'a\x00b'", "cannot be run: it holds a NUL"),
        (python("raise SystemExit(3)"), r"\(\S+\) ended with exit code 3$"),
        (
            python("import sys; sys.exit('One moment.\\nPlease run az login to set up.\\n')"),
            "ended with exit code 1: Please run az login to set up",
        ),
        ("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9", r"\(\[…\]\) cannot be run"),
        ("sk-s3cret", r"\(\[…\]\) cannot be run"),
        (python("import os; os.kill(os.getpid(), 9)"), "was ended by signal 9$"),
        (python("pass"), "printed is empty"),
        (python("print('{')"), "printed is in quotes, or is JSON; it must print the bare token"),
        (python("""print('"eyJ"')"""), "printed is in quotes, or is JSON"),
        (python("print('two words')"), "printed holds a blank"),
        (python("print('one'); print('two')"), "printed holds a blank"),
        (python("import sys; sys.stdout.buffer.write(b'\\xff')"), "printed holds a blank, a line end or another"),
    ],
)
def test_a_command_without_a_token_is_an_error(line: str, words: str) -> None:
    """The message names the program and what happened, and shows neither an argument nor what was printed."""
    with pytest.raises(AccessRefused, match=f"^no token: .*{words}") as caught:
        TokenCommand(line).run()
    assert "s3cret" not in str(caught.value)
    assert "eyJ" not in str(caught.value)
    assert "two" not in str(caught.value)


def test_error_output_shows_no_token() -> None:
    """Neither what was printed before the command failed, nor what looks like a token."""
    code = "import sys; print('tok-1'); sys.exit('refused tok-1 of ' + 'eyJhbGciOi' * 9 + ' by you')"
    with pytest.raises(AccessRefused, match=r"ended with exit code 1: refused \[token\] of \[…\] by you$"):
        TokenCommand(python(code)).run()


def test_a_command_that_does_not_end_is_ended() -> None:
    """So is everything that it started, which holds its output open."""
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)"
    endless = "import os, signal; signal.pause()"
    for line in (python(code.replace("input()", endless)), python(endless)):
        with pytest.raises(AccessRefused, match=r"did not end in 0\.3 seconds"):
            TokenCommand(line, seconds=0.3).run()


def test_the_command_is_not_shown_by_accident() -> None:
    """Not in a traceback, and not in a log."""
    assert "secret" not in repr(TokenCommand("curl -H secret"))


@pytest.mark.anyio
async def test_a_cancelled_task_ends_its_command(tmp_path: Path) -> None:
    """An export that is interrupted does not wait for a token."""
    started = tmp_path / "started"
    os.mkfifo(started)
    code = f"import pathlib, signal; pathlib.Path({str(started)!r}).write_text('yes'); signal.pause()"
    fetching = asyncio.create_task(TokenCommand(python(code), seconds=3600).run_async())
    assert await asyncio.to_thread(started.read_text) == "yes"
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching


def test_a_rejected_token_is_renewed_once_for_all_requests(tmp_path: Path) -> None:
    """However many requests are rejected at the same time, the command runs once."""
    token = token_source(tmp_path)
    first = token.current

    async def refused() -> list[bool]:
        return await asyncio.gather(*(token.renew(first) for _ in range(5)))

    assert asyncio.run(refused()) == [True] * 5
    assert token.current.secret == "token-2"


def test_a_new_token_that_is_rejected_is_not_renewed(tmp_path: Path) -> None:
    """The command does not run again and again for a server that accepts none of its tokens."""
    token = token_source(tmp_path)
    assert asyncio.run(token.renew(token.current))
    assert not asyncio.run(token.renew(token.current))
    assert token.current.secret == "token-2"


def test_a_token_that_was_accepted_is_renewed_again(tmp_path: Path) -> None:
    """Every hour of a long export; that an older token was still accepted says nothing about the new one."""
    token = token_source(tmp_path)
    first = token.current
    assert asyncio.run(token.renew(first))
    token.record_accepted(first)
    assert not asyncio.run(token.renew(token.current))
    token.record_accepted(token.current)
    assert asyncio.run(token.renew(token.current))
    assert token.current.secret == "token-3"


def test_a_key_is_not_renewed() -> None:
    """There is no command for another one."""
    key = TokenSource("sk-a")
    key.record_accepted(key.current)
    assert not asyncio.run(key.renew(key.current))
