"""Foreign text as a page may show it: what cannot be seen, or turns other text round, is made visible.

Such a character is shown as its escape, ``\\u202e`` or ``\\U000e0001``, marked as a sign of ours where the page can
mark it. Such are control characters, but for newline and tab, what has no shape of its own (marks of direction,
zero-width characters, separators of lines, tags), what UTF-8 cannot carry (lone surrogates), and what is no character.

Two kinds stay, since people's languages and emoji need them: a joiner between two characters beyond ASCII that can be
seen, and one variation selector behind a character that can be seen.
"""

import re

from markupsafe import Markup, escape

__all__ = ["cut", "marked", "unhidden", "visible"]

# What has no shape of its own is what Unicode calls default ignorable, and its separators of lines and paragraphs.
_SELECTORS = r"\ufe00-\ufe0f"
_NO_CHARACTERS = "".join(rf"\U{plane:04x}fffe\U{plane:04x}ffff" for plane in range(17))
_HIDDEN = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f"
    r"\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    r"\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    rf"\ud800-\udfff\ufdd0-\ufdef{_NO_CHARACTERS}"
)
_JOINS = rf"(?<=[^\x00-\x7f{_HIDDEN}])[\u200c\u200d](?=[^\x00-\x7f{_HIDDEN}{_SELECTORS}])"
_SELECTS = rf"(?<=[^{_HIDDEN}{_SELECTORS}\n\t])[{_SELECTORS}]"
_ANY = re.compile(f"[{_HIDDEN}{_SELECTORS}]")  # a cheaper search, and most texts have none
_RUN = re.compile(rf"((?!{_JOINS}|{_SELECTS})[{_HIDDEN}{_SELECTORS}]+)")

_SIGN = Markup("<i>{}</i>")


def visible(text: str) -> str:
    """Return a text in which everything can be seen. It can be encoded as UTF-8, and holds no carriage return."""
    return text if _ANY.search(text) is None else _RUN.sub(lambda run: _signs(run[0]), text)


def marked(text: str) -> Markup:
    """Return the same as HTML, where the escape of a character is an ``<i>``."""
    if _ANY.search(text) is None:
        return escape(text)
    pieces = _RUN.split(text)
    signs = [_SIGN.format(_signs(run)) for run in pieces[1::2]]
    return Markup("").join(piece for pair in zip(pieces[::2], [*signs, ""], strict=True) for piece in pair)


def unhidden(text: str) -> str:
    """Return a text without what cannot be seen. It can be encoded as UTF-8."""
    return text if _ANY.search(text) is None else _RUN.sub("", text)


def cut(text: str, most: int) -> str:
    """Return the beginning of a text, and how much more of it there is."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} more characters)"


def _signs(run: str) -> str:
    return "".join(f"\\u{ord(char):04x}" if ord(char) <= _BASIC else f"\\U{ord(char):08x}" for char in run)


_BASIC = 0xFFFF
