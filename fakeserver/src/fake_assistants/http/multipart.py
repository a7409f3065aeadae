"""Parse multipart forms (RFC 7578), as files are uploaded. The parser is python-multipart's, which does no I/O."""

import re
from urllib.parse import unquote

import attrs
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from fake_assistants.http.message import Request

_EXTENDED = re.compile(r";\s*filename\*=utf-8''([^;\s]+)", re.IGNORECASE)


class MalformedForm(ValueError):
    """The body is not a multipart form."""


@attrs.frozen
class Part:
    """One part of a form. `filename` is None when the part is not a file."""

    name: str
    filename: str | None
    content: bytes

    @property
    def text(self) -> str:
        """The content as text; bytes that are not UTF-8 are replaced."""
        return self.content.decode("utf-8", "replace")


def read(request: Request) -> tuple[Part, ...]:
    """Return the parts of a form, in order. Raises MalformedForm."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise MalformedForm("not multipart/form-data with a boundary")
    parts: list[_PartBuffer] = []
    endings: list[bool] = []
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": lambda: parts.append(_PartBuffer()),
                "on_header_field": lambda data, start, end: parts[-1].header_name.extend(data[start:end]),
                "on_header_value": lambda data, start, end: parts[-1].header_value.extend(data[start:end]),
                "on_header_end": lambda: parts[-1].end_header(),
                "on_part_data": lambda data, start, end: parts[-1].content.extend(data[start:end]),
                "on_end": lambda: endings.append(True),
            },
        )
        parser.write(request.body)
        parser.finalize()
    except FormParserError as error:
        raise MalformedForm(str(error)) from None
    if not endings:
        raise MalformedForm("the last boundary is missing")
    return tuple(part.finished() for part in parts)


@attrs.define
class _PartBuffer:
    """A part that is being parsed. Of its headers only Content-Disposition is used."""

    header_name: bytearray = attrs.field(factory=bytearray)
    header_value: bytearray = attrs.field(factory=bytearray)
    content: bytearray = attrs.field(factory=bytearray)
    disposition: str = ""

    def end_header(self) -> None:
        if self.header_name.lower() == b"content-disposition":
            self.disposition = self.header_value.decode("latin-1")
        self.header_name, self.header_value = bytearray(), bytearray()

    def finished(self) -> Part:
        options = parse_options_header(self.disposition)[1]
        texts = {key: value.decode("utf-8", "replace") for key, value in options.items()}
        plain = texts.get(b"filename")
        filename = None if plain is None else _extended(self.disposition) or plain
        return Part(texts.get(b"name", ""), filename, bytes(self.content))


def _extended(disposition: str) -> str | None:
    """Return the name in `filename*=utf-8''...`, which some clients send next to a plain one (recorded)."""
    found = _EXTENDED.search(disposition)
    return unquote(found.group(1), errors="replace") if found else None
