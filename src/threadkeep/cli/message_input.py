"""The messages that somebody types or pipes in: one a line, or several lines between two ``\"\"\"``."""

import contextlib
import importlib
import sys
from collections.abc import Callable

__all__ = ["MessageInput", "from_pipe", "from_terminal"]

_FENCE = '"""'


class MessageInput:
    """Read messages.

    Args:
        read_line: returns a line without its end, for a prompt, or raises EOFError.
    """

    def __init__(self, read_line: Callable[[str], str]) -> None:
        self._read_line = read_line

    def next(self) -> str | None:
        """Return the next message that is not blank; None at the end. Lines that are not closed end there too.

        Raises:
            UnicodeError: a line is not UTF-8.
        """
        try:
            line = self._line("> ")
            while not line.strip():
                line = self._line("> ")
        except EOFError:
            return None
        if not line.lstrip().startswith(_FENCE):
            return line
        return self._to_fence(line.lstrip().removeprefix(_FENCE))

    def _line(self, prompt: str) -> str:
        line = self._read_line(prompt)
        line.encode()  # in some locales, Python reads what is not UTF-8 as lone surrogates
        return line

    def _to_fence(self, line: str) -> str:
        lines = []
        while not line.rstrip().endswith(_FENCE):
            lines.append(line)
            try:
                line = self._line("... ")
            except EOFError:
                return "\n".join(lines)
        return "\n".join([*lines, line.rstrip().removesuffix(_FENCE)]).strip("\n")


def from_terminal() -> MessageInput:
    """Read from a terminal, with a prompt and, where Python has it, the editing and the history of readline."""
    with contextlib.suppress(ImportError):
        importlib.import_module("readline")  # `input` uses it from then on
    return MessageInput(input)


def from_pipe() -> MessageInput:
    """Read from standard input, whatever it is, without a prompt."""

    def read_line(_prompt: str) -> str:
        line = sys.stdin.readline() if sys.stdin is not None else ""
        if not line:
            raise EOFError
        return line.removesuffix("\n").removesuffix("\r")

    return MessageInput(read_line)
