"""Keys, tokens and passwords, and the one place that removes them from the messages of errors.

Whatever a server echoes, and in whatever form it was sent: as it is, in a URL, or in base64. An error keeps what the
server answered apart from its message until here, so that nothing is cut before it is cleaned.
"""

import base64
import re
from collections.abc import Iterable
from html import unescape
from urllib.parse import quote, quote_plus

import attrs

from threadkeep.api.sent_requests import SentRequest
from threadkeep.errors import ApiError

__all__ = ["Secrets"]

# Shorter words are no secrets: to remove them would garble messages.
_SHORTEST = 4

# So many characters of a secret in a row are a part of it: servers show the beginning or the end of a key.
_PART = 8

# How servers show a key of which they hide the middle: its two ends are parts of it, too.
_HALF_HIDDEN = re.compile(r"[\w-]*\*{3,}[\w*-]*")

# Of what a server says so many characters are shown: of the message of an error, and of a body that is none.
_MESSAGE, _BODY = 500, 120

_PAGE, _TITLE = (
    re.compile(r"<(!doctype html|html)\b", re.IGNORECASE),
    re.compile(r"<title>(.*?)</title>", re.IGNORECASE),
)

# More of it is not looked at.
_READ = 10_000


@attrs.define
class Secrets:
    """The secrets of a run, in each form in which they may be sent."""

    _forms: set[str] = attrs.field(factory=set)
    _parts: set[str] = attrs.field(factory=set)
    _pieces: set[str] = attrs.field(factory=set)

    def add(self, *secrets: str | None) -> None:
        """Add secrets; a pair of user and password is one too, as ``user:password``."""
        for secret in secrets:
            if secret is None or len(secret) < _SHORTEST or secret in self._forms:
                continue
            encoded = base64.b64encode(secret.encode("utf-8", "surrogatepass")).decode()
            in_urls = (spelled(secret, safe="", errors="replace") for spelled in (quote, quote_plus))
            forms = {secret, encoded, *in_urls}
            self._forms |= forms
            long = [form for form in forms if len(form) >= _PART]
            self._pieces |= {form[at : at + _PART] for form in long for at in range(0, len(form) - _PART + 1, _PART)}
            self._pieces |= {form[-_PART:] for form in long}
            self._parts |= {form[at : at + _PART] for form in forms for at in range(len(form) - _PART + 1)}

    def are_in(self, names: Iterable[str]) -> bool:
        """Return whether one of the names holds a secret, or twice the length of a part of one."""
        text = "\n".join(names)
        return any(piece in text for piece in self._pieces)

    def clean(self, text: str) -> str:
        """Return a text with each secret, and each part of one, replaced by ``[key]``."""
        is_secret = bytearray(len(text))
        for at in range(len(text) - _PART + 1):
            if text[at : at + _PART] in self._parts:
                is_secret[at : at + _PART] = b"\x01" * _PART
        for form in self._forms:
            if len(form) < _PART:
                for found in re.finditer(re.escape(form), text):
                    is_secret[found.start() : found.end()] = b"\x01" * len(form)
        for found in _HALF_HIDDEN.finditer(text):
            is_secret[found.start() : found.end()] = b"\x01" * len(found[0])
        shown, start = [], 0
        for run in re.finditer(rb"\x01+", bytes(is_secret)):
            shown += [text[start : run.start()], "[key]"]
            start = run.end()
        return "".join([*shown, text[start:]])

    def clean_sent(self, sent: SentRequest) -> SentRequest:
        """Return what is known of a request without secrets."""
        request_id = None if sent.request_id is None else self.clean(sent.request_id)
        return attrs.evolve(sent, path=self.clean(sent.path), request_id=request_id)

    def finish(self, problem: ApiError, address: str) -> ApiError:
        """Put the server's words into the message of an error, cleaned and then cut, and return the error.

        Args:
            problem: is changed.
            address: stays readable in the message: a host may be named as its key is.
        """
        what = address.join(self.clean(piece) for piece in str(problem).split(address))
        words, problem.quoted = problem.quoted, ""
        if isinstance(words, bytes):
            words = _cut(self.clean(_text_of(words)), _BODY) or "an empty body"
        else:
            words = _cut(self.clean(words[:_READ]), _MESSAGE)
        problem.args = (f"{what}: {words}" if what and words else what or words,)
        return problem


def _text_of(body: bytes) -> str:
    """Return a body in one line; of a web page only its title, since the rest is made for browsers."""
    text = " ".join(body[:_READ].decode("utf-8", "replace").split())
    if not _PAGE.match(text):
        return text
    title = _TITLE.search(text)
    return "a web page" if title is None else f'a web page, "{unescape(title[1]).strip()}"'


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + "…"
