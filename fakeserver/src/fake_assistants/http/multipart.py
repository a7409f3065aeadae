"""Reading multipart forms (RFC 7578), as files are uploaded. Bytes in, fields out, nothing touches a disk."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import attrs
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from fake_assistants.http.message import Request

_EXTENDED = re.compile(r";\s*filename\*=utf-8''([^;\s]+)", re.IGNORECASE)


class MalformedForm(ValueError):
    """The body is no multipart form."""


@attrs.frozen
class Part:
    """One part of a form. `filename` is None for what is no file."""

    name: str
    filename: str | None
    content: bytes

    @property
    def text(self) -> str:
        """The content as text; what is not UTF-8 is replaced."""
        return self.content.decode("utf-8", "replace")


def read(request: Request) -> tuple[Part, ...]:
    """The parts of a form, in order. Raises MalformedForm."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise MalformedForm("not multipart/form-data with a boundary")
    reader = _Reader()
    try:
        parser = MultipartParser(boundary, reader.callbacks())
        parser.write(request.body)
        parser.finalize()
    except FormParserError as error:
        raise MalformedForm(str(error)) from None
    if not reader.is_over:
        raise MalformedForm("the last boundary is missing")
    return tuple(reader.parts)


class _Reader:
    """Gathers what the parser finds."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.is_over = False
        self._headers: dict[str, str] = {}
        self._name = self._value = b""
        self._content = bytearray()  # it comes in many pieces

    def callbacks(self) -> Any:
        """By the parser's names."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._over,
        }

    def _begin(self) -> None:
        self._headers, self._content = {}, bytearray()

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._name.decode("latin-1").lower()] = self._value.decode("latin-1")
        self._name = self._value = b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]

    def _end(self) -> None:
        self.parts.append(_part(self._headers, bytes(self._content)))

    def _over(self) -> None:
        self.is_over = True


def _part(headers: Mapping[str, str], content: bytes) -> Part:
    disposition = headers.get("content-disposition", "")
    options = parse_options_header(disposition)[1]
    name = options.get(b"name", b"").decode("utf-8", "replace")
    filename = options.get(b"filename")
    if filename is None:
        return Part(name, None, content)
    return Part(name, _extended(disposition) or filename.decode("utf-8", "replace"), content)


def _extended(disposition: str) -> str | None:
    """The name in `filename*=utf-8''...`, which some clients send beside a plain one (recorded)."""
    found = _EXTENDED.search(disposition)
    return unquote(found.group(1), errors="replace") if found else None
