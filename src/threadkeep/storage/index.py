"""The index of an export: a header, then a row for each thread, in the order in which the ids were first wanted."""

from enum import StrEnum
from typing import Annotated, Literal, TypeAlias, TypeVar

import msgspec

from threadkeep.serialization.lossless_json import dumps, loads
from threadkeep.serialization.thread_ids import is_thread_id
from threadkeep.storage.paths import SIDECAR_KINDS

__all__ = [
    "AUTO",
    "SEVERAL_SOURCES",
    "DownloadOutcome",
    "DownloadRow",
    "IndexHeader",
    "IndexRow",
    "Outcome",
    "Span",
    "decode_download",
    "decode_header",
    "decode_row",
    "encode_line",
]

AUTO = "auto"
"""The assistant id of an export in which each thread has its own."""

SEVERAL_SOURCES = "several addresses"
"""The source of an export that was merged from exports of more than one."""

Sha256: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]

_NO_FILE_IS_LONGER = 2**62


class Outcome(StrEnum):
    """What became of a thread."""

    COMPLETE = "complete"
    """All its messages are in the export; a thread without messages has no lines."""
    MISSING = "missing"
    """The API knows no such thread."""
    PARTIAL = "partial"
    """Some of its messages came, then the run ended or the thread failed; they are in the partial file."""
    FAILED = "failed"
    """No usable answer after every retry."""
    UNFINISHED = "unfinished"
    """It has not had its turn yet."""
    DROPPED = "dropped"
    """It is not wanted any more."""


class IndexHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What the export is of.

    Attributes:
        source: the address that was asked, without secrets; see `SEVERAL_SOURCES`.
        assistant_id: the assistant that the export is for; "auto" for each thread's own.
        flat: whether its lines are flat.
        include: what is saved next to the messages, of `threadkeep.storage.paths.SIDECAR_KINDS`.
    """

    format: Literal["threadkeep-index/1"] = "threadkeep-index/1"
    source: str
    assistant_id: str
    flat: bool
    include: tuple[Literal["threads", "runs"], ...]


class Span(msgspec.Struct, frozen=True):
    """A range of bytes in a file, and their sha256."""

    offset: int
    bytes: int
    sha256: Sha256

    @property
    def end(self) -> int:
        """The byte behind it."""
        return self.offset + self.bytes


class IndexRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one thread, and where its lines are.

    Attributes:
        assistant_id: on its lines; None where that is not known.
        messages: how many lines it has in OUT; of a thread that is not complete, in the partial file.
        first_id, last_id: of those messages; None without any.
        offset, bytes, sha256: of its lines in OUT; None unless it is complete.
        sidecars: where its lines are in each sidecar file.
        partial: where its lines are in the partial file.
        files: the ids of the files that it refers to, where files were looked for.
        reason: why it is not complete.
    """

    thread_id: str
    assistant_id: str | None
    outcome: Outcome
    messages: int | None = None
    first_id: str | None = None
    last_id: str | None = None
    offset: int | None = None
    bytes: int | None = None
    sha256: Sha256 | None = None
    sidecars: dict[str, Span] = msgspec.field(default_factory=dict)
    partial: Span | None = None
    files: tuple[str, ...] = ()
    reason: str | None = None

    @property
    def span(self) -> Span | None:
        """Where its lines are in OUT."""
        if self.offset is None or self.bytes is None or self.sha256 is None:
            return None
        return Span(self.offset, self.bytes, self.sha256)


class DownloadOutcome(StrEnum):
    """What became of a file that messages or steps refer to."""

    SAVED = "saved"
    """It is in the folder of downloads."""
    MISSING = "missing"
    """The API knows no such file."""
    NOT_ALLOWED = "not_allowed"
    """The API gives files of its purpose to nobody."""
    INVALID = "invalid"
    """The id is malformed; it was not asked for."""
    FAILED = "failed"
    """No usable answer after every retry."""
    UNFINISHED = "unfinished"
    """It has not had its turn yet."""


class DownloadRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one file.

    Attributes:
        name: in the folder of downloads; None unless it is there, or was.
        bytes, sha256: of what was saved.
        reason: why it was not saved.
    """

    file_id: str
    outcome: DownloadOutcome
    name: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    reason: str | None = None


_T = TypeVar("_T")
_ROW = msgspec.json.Decoder(IndexRow)
_HEADER = msgspec.json.Decoder(IndexHeader)
_DOWNLOAD = msgspec.json.Decoder(DownloadRow)
_ENCODER = msgspec.json.Encoder()


def encode_line(row: IndexHeader | IndexRow | DownloadRow) -> bytes:
    """Return a line with its newline."""
    try:
        return _ENCODER.encode(row) + b"\n"
    except UnicodeEncodeError:  # a lone surrogate in an id
        return dumps(msgspec.to_builtins(row)) + b"\n"


def decode_header(line: bytes) -> IndexHeader:
    """Read the first line of an index.

    Raises:
        ValueError: it is no header, or one of another format.
    """
    return _decoded(_HEADER, IndexHeader, line)


def decode_row(line: bytes) -> IndexRow:
    """Read a line of an index but the first.

    Raises:
        ValueError: it is no row.
    """
    row = _decoded(_ROW, IndexRow, line)
    if not is_thread_id(row.thread_id):
        raise ValueError("it names no thread")
    if not row.sidecars.keys() <= {*SIDECAR_KINDS}:
        raise ValueError("it names a sidecar that there is not")
    for span in (row.span, row.partial, *row.sidecars.values()):
        if span is not None and not (0 <= span.offset < _NO_FILE_IS_LONGER and 0 <= span.bytes < _NO_FILE_IS_LONGER):
            raise ValueError("a span is in no file")
    if (row.outcome is Outcome.COMPLETE) is (row.span is None):
        raise ValueError("a complete thread has no span, or another one has one")
    return row


def decode_download(line: bytes) -> DownloadRow:
    """Read a line of the list of downloads.

    Raises:
        ValueError: it is no row.
    """
    row = _decoded(_DOWNLOAD, DownloadRow, line)
    name = row.name
    if name is not None and (name in ("", ".", "..") or not name.isprintable() or "/" in name or len(name) > 255):
        raise ValueError("its name cannot be that of a file")
    return row


def _decoded(decoder: msgspec.json.Decoder[_T], kind: type[_T], line: bytes) -> _T:
    try:
        return decoder.decode(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:  # perhaps only a lone surrogate
        return msgspec.convert(loads(line), kind)
