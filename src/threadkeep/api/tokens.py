"""Tokens that a command prints: what is sent as the bearer, and fetched anew when the server refuses one.

Entra tokens live for about an hour, an export of many threads for longer. Neither the command nor what it printed
stands in any message: both may hold secrets.
"""

import asyncio
import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess

import attrs

from threadkeep.api.keys import trouble_with
from threadkeep.errors import AccessRefused

__all__ = ["FixedToken", "FreshToken", "Token", "TokenCommand"]

_SECONDS = 60.0
_MOST_WORDS = 300

# Windows has neither groups of this kind nor this signal.
_end_group = getattr(os, "killpg", os.kill)
_SURELY = getattr(signal, "SIGKILL", signal.SIGTERM)

# What may be a token in a command's complaint.
_LONG_WORD = re.compile(r"[\w.~+/=%-]{24,}")


@attrs.frozen
class Token:
    """What is sent to be let in; each renewal has the next number."""

    secret: str = attrs.field(repr=False)
    number: int = 0


class FixedToken:
    """A key, or a token that nobody can renew.

    Attributes:
        current: what to send.
    """

    def __init__(self, secret: str) -> None:
        self.current = Token(secret)

    def accepted(self, token: Token) -> None:
        """Take note that the server took it."""

    async def renew(self, refused: Token) -> bool:
        """Say that there is none other."""
        del refused
        return False


@attrs.frozen
class TokenCommand:
    """A command that prints a token on its standard output.

    Attributes:
        line: the command, split as a shell would; no shell runs it.
        seconds: how long it may take.
    """

    line: str = attrs.field(repr=False)
    seconds: float = _SECONDS

    def run(self) -> str:
        """Run the command to its end.

        Raises:
            AccessRefused: it cannot be run, fails, takes too long, or prints no token.
        """
        return self._token_of(self._start())

    async def run_aside(self) -> str:
        """Run the command while other tasks go on; it is ended when this task is cancelled.

        Raises:
            AccessRefused: as `run`.
        """
        process = self._start()
        try:
            return await asyncio.to_thread(self._token_of, process)
        finally:
            _end(process)

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            program, *arguments = shlex.split(self.line)
        except ValueError:
            raise AccessRefused("no token: the token command is empty, or has an open quotation mark") from None
        command = [shutil.which(program) or program, *arguments]
        try:
            # A group of its own, so that whatever it starts ends with it.
            return subprocess.Popen(  # noqa: S603 - to run it is what was asked for
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it holds a NUL"
            raise AccessRefused(f"no token: the token command cannot be run: {why}") from None

    def _token_of(self, process: subprocess.Popen[bytes]) -> str:
        with process:
            try:
                out, complaint = process.communicate(timeout=self.seconds)
            except subprocess.TimeoutExpired:
                raise AccessRefused(f"no token: the token command did not end in {self.seconds:g} seconds") from None
            finally:
                _end(process)
        token = out.decode("utf-8", "replace").strip()
        if process.returncode != 0:
            said = _without(token, complaint.decode("utf-8", "replace"))
            raise AccessRefused(f"no token: the token command ended with {process.returncode}{said}")
        _check(token)
        return token


class FreshToken:
    """The token of a command, fetched at once and again when the server refuses it.

    Args:
        command: prints it.
        first: what it has printed already, if it has.

    Attributes:
        current: what to send.

    Raises:
        AccessRefused: the command gives none.
    """

    def __init__(self, command: TokenCommand, first: str | None = None) -> None:
        self._command = command
        self._one_at_a_time = asyncio.Lock()
        self._untried_renewal = False
        self.current = Token(command.run() if first is None else first)

    def accepted(self, token: Token) -> None:
        """Take note that the server took it."""
        if token.number == self.current.number:
            self._untried_renewal = False

    async def renew(self, refused: Token) -> bool:
        """Fetch a new token in place of a refused one, once for all who hold it.

        Args:
            refused: what was sent.

        Returns:
            Whether asking again has a chance: not, when what was refused was itself new and never taken.

        Raises:
            AccessRefused: the command gives none.
        """
        async with self._one_at_a_time:
            if refused.number != self.current.number:
                return True
            if self._untried_renewal:
                return False
            self._untried_renewal = True
            self.current = Token(await self._command.run_aside(), self.current.number + 1)
            return True


def _check(token: str) -> None:
    trouble = trouble_with(token)
    if trouble is None and token[0] in "\"'{[":
        trouble = "is in quotes, or is JSON"
    if trouble is not None:
        raise AccessRefused(f"no token: what the token command printed {trouble}; it must print the bare token")


def _without(token: str, complaint: str) -> str:
    """The command's complaint in one line, without what may be a token; "" for none."""
    for secret in token.split():
        complaint = complaint.replace(secret, "[token]")
    said = " ".join(_LONG_WORD.sub("[…]", complaint).split())
    return f": {said[:_MOST_WORDS]}" if said else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process, and what it started, if it still runs. Until it is waited for, its number is nobody else's."""
    if process.returncode is None:
        with contextlib.suppress(OSError):
            _end_group(process.pid, _SURELY)
