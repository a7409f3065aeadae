"""Bearer tokens that a command prints, fetched again when the server rejects one.

Entra tokens are valid for about an hour, an export of many threads takes longer. A message shows neither a token nor
the arguments of the command, which may hold secrets: only the name of its program.
"""

import asyncio
import contextlib
import os
import re
import shlex
import signal
import subprocess

import attrs

from threadkeep.api.keys import Key, header_fault
from threadkeep.errors import AccessRefused

__all__ = ["TokenCommand", "TokenSource"]

# A word of the command's error output, or of the command, that may be a key or a token.
_SECRET_WORD = re.compile(r"\bsk-[\w-]+|[\w.~+/=%-]{24,}")


@attrs.frozen
class TokenCommand:
    """A command that prints a token on its standard output.

    Attributes:
        line: the command, split as a shell would. No shell runs it.
        seconds: how long it may take.
    """

    line: str = attrs.field(repr=False)
    seconds: float = 60.0

    def run(self) -> str:
        """Run the command and return its token.

        Raises:
            AccessRefused: it cannot be run, fails, takes too long, or prints no token.
        """
        return self._read_token(self._start())

    async def run_async(self) -> str:
        """Run the command as `run` does, without blocking other tasks. If this task is cancelled, the command ends."""
        process = self._start()
        try:
            return await asyncio.to_thread(self._read_token, process)
        finally:
            _kill(process)

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            program, *_ = words = shlex.split(self.line)
        except ValueError:
            raise AccessRefused("no token: the token command is empty, or has an open quotation mark") from None
        try:
            return subprocess.Popen(  # noqa: S603 - the user asked to run it
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # a group of its own: whatever it starts ends with it
            )
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it holds a NUL"
            raise AccessRefused(f"no token: the token command ({_name_of(program)}) cannot be run: {why}") from None

    def _read_token(self, process: subprocess.Popen[bytes]) -> str:
        what = f"the token command ({_name_of(shlex.split(self.line)[0])})"
        with process:
            try:
                out, error_output = process.communicate(timeout=self.seconds)
            except subprocess.TimeoutExpired:
                raise AccessRefused(f"no token: {what} did not end in {self.seconds:g} seconds") from None
            finally:
                _kill(process)
        token = out.decode("utf-8", "replace").strip()
        if process.returncode != 0:
            code = process.returncode
            ended = f"ended with exit code {code}" if code > 0 else f"was ended by signal {-code}"
            reason = _last_line(error_output, token)
            raise AccessRefused(f"no token: {what} {ended}" + (f": {reason}" if reason else ""))
        if fault := header_fault(token) or ("is in quotes, or is JSON" if token[0] in "\"'{[" else None):
            raise AccessRefused(f"no token: what {what} printed {fault}; it must print the bare token")
        return token


class TokenSource:
    """The key or token to send, renewed by a command if there is one.

    Attributes:
        current: the token to send. Each renewal is another object, even if it has the same secret.
        is_renewable: there is a command.
    """

    def __init__(self, secret: str, command: TokenCommand | None = None) -> None:
        self.current = Key(secret)
        self.is_renewable = command is not None
        self._command = command
        self._lock = asyncio.Lock()
        self._accepted = True

    def record_accepted(self, token: Key) -> None:
        """Record that the server accepted a token."""
        self._accepted |= token is self.current

    async def renew(self, rejected: Key) -> bool:
        """Replace a rejected token, once for all requests that sent it.

        Returns:
            Whether a retry may succeed. It cannot without a command, nor if the server never accepted the last renewal.

        Raises:
            AccessRefused: the command prints no token.
        """
        async with self._lock:
            if rejected is not self.current:
                return True
            if self._command is None or not self._accepted:
                return False
            self._accepted = False
            self.current = Key(await self._command.run_async())
            return True


def _name_of(program: str) -> str:
    """Return the name of a program, without its folder; a token that was given in its place is not shown."""
    return _SECRET_WORD.sub("[…]", os.path.basename(program))


def _last_line(error_output: bytes, token: str) -> str:
    """Return the last line that a command printed about its failure, without what may be a token."""
    line = " ".join(error_output.decode("utf-8", "replace").strip().splitlines()[-1:])
    for secret in token.split():
        line = line.replace(secret, "[token]")
    return " ".join(_SECRET_WORD.sub("[…]", line).split())[:300]


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a running process and everything that it started. Until it is waited for, its pid is not reused."""
    if process.returncode is None:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
