"""Foreign text that comes in pieces, on standard output, as a terminal may have it."""

import re

import click

from threadkeep.html_report.visible_text import visible

__all__ = ["StreamedText"]

# How these are shown depends on the character behind them.
_OPEN = re.compile(r"[\u200c\u200d\r]+\Z")


class StreamedText:
    """A text that is printed piece by piece, and made `visible` as if it came at once."""

    def __init__(self) -> None:
        self._before = self._waiting = ""

    def add(self, piece: str) -> None:
        """Print a piece, but for an end that is not decided yet."""
        text = self._waiting + piece
        decided = len(_OPEN.sub("", text))
        self._waiting = text[decided:]
        self._print(text[:decided])

    def __enter__(self) -> "StreamedText":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        """Print what is left, and end the line, unless Ctrl-C has ended the text: then the caller ends the line."""
        self._print(self._waiting)
        if self._before and kind is not KeyboardInterrupt:
            click.echo()

    def _print(self, text: str) -> None:
        if text:
            text = text.replace("\r\n", "\n")
            click.echo(visible(self._before + text)[len(visible(self._before)) :], nl=False)
            self._before = text[-1]
