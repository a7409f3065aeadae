"""Pages to be read and searched in a browser, from the disk: a contents page, and a page or more for each thread.

TARGET is a folder: ``index.html`` (the contents, with the search; more than 500 threads are listed on ``index-2.html``
and so on), ``threads/1.html``, ``threads/2.html``, ... in the order of OUT, ``files/`` with the images that were
downloaded, ``search/`` with the texts that the search reads, and ``style.css``. A page makes no network request.

Nothing of an export can run: texts are escaped by the templates or by `threadkeep.conversion.html_text`, and every page
has a Content-Security-Policy. That of ``index.html`` names the hash of its one script, and lets only that script load
others ('strict-dynamic'); the other pages allow none.
"""

import base64
import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from pathlib import Path
from typing import IO, Any, BinaryIO, TypeAlias
from urllib.parse import quote

import attrs
import jinja2
from markupsafe import Markup

from threadkeep.conversion.content import Footnotes, data_url, file_url, named_file, spans, with_captions
from threadkeep.conversion.html_text import link, text_html
from threadkeep.conversion.job import Conversion, Options
from threadkeep.conversion.losses import Loss
from threadkeep.conversion.search_shards import SearchShards, one_line
from threadkeep.conversion.source import PlainMessage, Thread, Turn
from threadkeep.errors import OutputUnusable
from threadkeep.html_report.visible_text import cut, marked, visible
from threadkeep.records.model import (
    FileCitation,
    FilePath,
    ImageFilePart,
    ImageUrlPart,
    MessageRecord,
    Part,
    RefusalPart,
    TextPart,
)
from threadkeep.serialization.lossless_json import dumps, loads
from threadkeep.storage.private_files import create, open_regular

__all__ = ["DESCRIPTION", "NO_PLACE", "page", "write"]

DESCRIPTION = "A folder of pages to read in a browser, with a search that needs no network."
NO_PLACE = ("ids of runs", "runs", "status", "details of images", "tool_resources", "unknown fields")

LISTED = 500
"""How many threads a page of the contents lists."""

MOST_MESSAGES, MOST_CHARACTERS = 500, 1_000_000
"""With how many messages or characters a page of a thread is full."""

_TITLE = 90


def write(threads: Iterable[Thread], path: Path, conversion: Conversion) -> None:
    """Write the folder. Each thread is read twice: first what its page and those of its neighbours say of it."""
    for folder in (path, path / "threads", path / "files", path / "search"):
        folder.mkdir()
    with create(path / "style.css") as file:
        file.write(_source("style.css").encode())
    search = SearchShards(path / "search")
    with tempfile.TemporaryFile(dir=path.parent) as rows:
        contents = _Contents(rows)
        before: _Entry | None = None
        for (entry, thread), after in _with_next(_entries(threads, contents)):
            _write_thread(thread, _Place(entry, before, after), path, conversion, search)
            before = entry
        search.write()
        contents.write(path, conversion.out.name, search.count)


def page(thread: Thread, conversion: Conversion) -> Iterator[str]:
    """Yield one page with all of a thread, which needs no other file: images that were downloaded are within it."""
    entry = _entry(thread, 1)
    style = _source("style.css")
    message = _Messages(thread, conversion, _inline_image)
    yield from _PAGES.get_template("thread.html.jinja").generate(
        policy=f"default-src 'none'; style-src '{_hash(style)}'; img-src data:; base-uri 'none'; form-action 'none'",
        style=Markup(style),  # noqa: S704  our own
        entry=entry,
        facts=_facts(thread),
        place=None,
        messages=map(message, range(1, entry.messages + 1), thread.turns()),
    )


# --- the contents


@attrs.frozen
class _Entry:
    """What other pages say of a thread.

    Attributes:
        number: counted from 1, in the order of OUT.
        starts: the number of the first message of each of its pages.
        first, last: the earliest and the latest time of a message, in seconds; None without any.
    """

    number: int
    title: str
    messages: int
    starts: list[int]
    first: int | None
    last: int | None

    @property
    def address(self) -> str:
        return _address(self.number, 1)

    @property
    def dates(self) -> str:
        """The days of its messages, as a person reads them."""
        return _days(self.first, self.last)


def _address(number: int, page: int) -> str:
    return f"{number}.html" if page == 1 else f"{number}-{page}.html"


def _entry(thread: Thread, number: int) -> _Entry:
    title, starts, size, count = "", [1], 0, 0
    first = last = None
    for count, turn in enumerate(thread.turns(), 1):
        title = title or _title(turn.text)
        if count - starts[-1] >= MOST_MESSAGES or size >= MOST_CHARACTERS:
            starts.append(count)
            size = 0
        size += len(turn.text)
        if turn.created_at is not None:
            first = turn.created_at if first is None else min(first, turn.created_at)
            last = turn.created_at if last is None else max(last, turn.created_at)
    return _Entry(number, title or _title(thread.thread_id) or "no words", count, starts, first, last)


def _title(text: str) -> str:
    line = one_line(text[: 20 * _TITLE])
    return line if len(line) <= _TITLE else f"{line[:_TITLE].rstrip()}…"


class _Contents:
    """The entries of all threads, on the disk until it is known how many there are."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.threads = self.messages = 0
        self.first: int | None = None
        self.last: int | None = None

    def add(self, entry: _Entry) -> None:
        self._file.write(dumps(attrs.astuple(entry)) + b"\n")
        self.threads += 1
        self.messages += entry.messages
        times = [one for one in (self.first, self.last, entry.first, entry.last) if one is not None]
        self.first, self.last = min(times, default=None), max(times, default=None)

    def write(self, path: Path, name: str, shards: int) -> None:
        """Write the pages."""
        self._file.seek(0)
        entries = (_Entry(*loads(line)) for line in self._file)
        pages = max(1, -(-self.threads // LISTED))
        script = _source("search.js")
        own = f"script-src '{_hash(script)}' 'strict-dynamic'; "
        for number in range(1, pages + 1):
            _write_page(
                path / _contents_address(number),
                "contents.html.jinja",
                policy=f"default-src 'none'; {own if number == 1 else ''}{_OWN_FILES}",
                script=Markup(script) if number == 1 else None,  # noqa: S704  our own
                shards=shards,
                name=name,
                total=self,
                dates=_days(self.first, self.last),
                number=number,
                pages=pages,
                numbers=_near(number, pages),
                entries=islice(entries, LISTED),
            )


def _contents_address(number: int) -> str:
    return "index.html" if number == 1 else f"index-{number}.html"


def _near(number: int, pages: int) -> list[int]:
    """The pages to which a page has links: the first, the last, and those around it; 0 where some are left out."""
    near = sorted({1, pages, *range(max(1, number - 2), min(pages, number + 2) + 1)})
    numbers = []
    for before, one in zip([0, *near], near, strict=False):
        numbers += [0] if one - before > 2 else [one - 1] if one - before == 2 else []
        numbers.append(one)
    return numbers


def _entries(threads: Iterable[Thread], contents: _Contents) -> Iterator[tuple[_Entry, Thread]]:
    for number, thread in enumerate(threads, 1):
        entry = _entry(thread, number)
        contents.add(entry)
        yield entry, thread


def _with_next(
    entries: Iterator[tuple[_Entry, Thread]],
) -> Iterator[tuple[tuple[_Entry, Thread], _Entry | None]]:
    """Yield each with the one behind it."""
    here = next(entries, None)
    while here is not None:
        behind = next(entries, None)
        yield here, behind and behind[0]
        here = behind


# --- a thread


@attrs.frozen
class _Place:
    """Where a page is: in which thread, between which others, and which page of the thread it is."""

    entry: _Entry
    before: _Entry | None
    after: _Entry | None
    page: int = 1

    @property
    def pages(self) -> int:
        return len(self.entry.starts)

    @property
    def numbers(self) -> Sequence[int]:
        return _near(self.page, self.pages)

    def address(self, page: int) -> str:
        return _address(self.entry.number, page)

    @property
    def contents(self) -> str:
        """The page of the contents that lists the thread."""
        return _contents_address(1 + (self.entry.number - 1) // LISTED)


def _write_thread(thread: Thread, place: _Place, path: Path, conversion: Conversion, search: SearchShards) -> None:
    entry, turns, facts = place.entry, thread.turns(), _facts(thread)
    about = ", ".join(filter(None, [_counted(entry.messages, "message"), entry.dates]))
    message = _Messages(thread, conversion, _Images(path / "files").shown)
    ends = [*entry.starts[1:], entry.messages + 1]
    search.add(entry.address, entry.title, about, 0, [fact for row in facts for fact in row])
    for number, (start, end) in enumerate(zip(entry.starts, ends, strict=True), 1):
        here = attrs.evolve(place, page=number)
        address = here.address(number)

        def shown(of: int, turn: Turn, address: str = address) -> _Message:
            one = message(of, turn)
            search.add(address, entry.title, about, of, one.words)
            return one

        _write_page(
            path / "threads" / address,
            "thread.html.jinja",
            policy=f"default-src 'none'; {_OWN_FILES}",
            style=None,
            entry=entry,
            facts=facts,
            place=here,
            messages=map(shown, range(start, end), islice(turns, end - start)),
        )


def _facts(thread: Thread) -> list[tuple[str, str]]:
    """What is known of a thread, but for its messages: names and values."""
    known = thread.thread or {}
    facts = [("thread", thread.thread_id)]
    if thread.assistant_id is not None:
        facts.append(("assistant", thread.assistant_id))
    if isinstance(created := known.get("created_at"), int):
        facts.append(("created", _when(created)))
    return facts + _pairs(known.get("metadata"))


def _pairs(metadata: Any) -> list[tuple[str, str]]:
    if not metadata:
        return []
    return [*map(_pair, metadata.items())] if isinstance(metadata, dict) else [("metadata", _json(metadata))]


def _pair(row: tuple[str, Any]) -> tuple[str, str]:
    return row[0], row[1] if isinstance(row[1], str) else _json(row[1])


def _json(value: Any) -> str:
    return dumps(value).decode()


# --- a message


@attrs.frozen(kw_only=True)
class _Message:
    """A message on a page.

    Attributes:
        role: None for none.
        parts: each as the name of its shape (see the template) and what is in it.
        notes: the sources of its citations, by number.
        others: annotations of an unknown type, as JSON.
        attachments: names of files.
        words: its texts and names, as they are searched.
    """

    number: int
    role: str | None
    created_at: int | None
    message_id: str
    parts: Sequence[tuple[str, Any]]
    notes: Mapping[int, str] = attrs.field(factory=dict)
    others: Sequence[str] = ()
    attachments: Sequence[str] = ()
    metadata: Sequence[tuple[str, str]] = ()
    words: Sequence[str]


_NOTHING = Markup("")


@attrs.frozen
class _Image:
    """An image as a page shows it.

    Attributes:
        address: from which it is shown, never one of the network; None if it is not shown.
        note: what is shown behind its name.
        lost: why it is lost, if it is.
    """

    name: str
    address: str | None
    note: Markup = _NOTHING
    lost: str | None = None


_Show: TypeAlias = Callable[[Path, str], _Image]
"""Return how a download of a name is shown."""


class _Messages:
    """Make messages of a thread ready to be shown, and report their losses."""

    def __init__(self, thread: Thread, conversion: Conversion, image: _Show) -> None:
        self._files, self._conversion, self._image = thread.files, conversion, image

    def __call__(self, number: int, turn: Turn) -> _Message:
        if isinstance(turn, PlainMessage):
            return _Message(
                number=number,
                role=turn.role,
                created_at=turn.created_at,
                message_id=turn.message_id,
                parts=[("text", text_html(turn.text, {}, _nothing))],
                words=[turn.text],
            )
        shown = _Parts(number, turn, self._files, self._conversion.options, self._image)
        parts = [*map(shown.part, with_captions(turn))]
        attachments = [*_attachments(turn.raw.get("attachments"), self._files)]
        metadata = _pairs(turn.raw.get("metadata"))
        self._conversion.lose(shown.losses)
        names = [*shown.notes.values(), *attachments, *(word for row in metadata for word in row)]
        return _Message(
            number=number,
            role=turn.role,
            created_at=turn.created_at,
            message_id=turn.message_id,
            parts=parts,
            notes=shown.notes,
            others=shown.others,
            attachments=attachments,
            metadata=metadata,
            words=[*shown.words, *names],
        )


def _nothing(_marker: str, _cited: object) -> Markup:
    return _NOTHING


def _attachments(attached: Any, files: Mapping[str, Path]) -> Iterator[str]:
    """Yield the names of attached files with their ids and tools; what is of another shape as JSON."""
    for row in attached if isinstance(attached, list) else [attached] if attached else []:
        if not isinstance(row, dict) or not isinstance(file_id := row.get("file_id"), str):
            yield _json(row)
            continue
        tools = row.get("tools") if isinstance(row.get("tools"), list) else []
        kinds = [tool["type"] for tool in tools or () if isinstance(tool, dict) and isinstance(tool.get("type"), str)]
        yield _named(file_id, files) + (f", for {', '.join(kinds)}" if kinds else "")


def _named(file_id: str, files: Mapping[str, Path]) -> str:
    return named_file(file_id, files[file_id].name) if file_id in files else file_id


class _Parts:
    """The parts of one message; notes, words and losses grow with them."""

    def __init__(
        self, number: int, record: MessageRecord, files: Mapping[str, Path], options: Options, image: _Show
    ) -> None:
        self.notes: dict[int, str] = {}
        self.others: list[str] = []
        self.words: list[str] = []
        self.losses: list[Loss] = []
        self._number, self._record, self._files, self._options = number, record, files, options
        self._image, self._footnotes = image, Footnotes(files)

    def part(self, part: Part) -> tuple[str, Any]:
        """Return the name of its shape, and what is in it."""
        match part:
            case TextPart():
                self.words.append(part.value)
                return "text", self._text(part)
            case ImageFilePart():
                self.words.append(_named(part.file_id, self._files))
                return "image", self._image_file(part)
            case ImageUrlPart(url):
                if _SHOWN_DATA.fullmatch(url):
                    return "image", _Image("image", url)
                self.words.append(cut(url, _LONGEST_URL))
                return "image_url", link(url)
            case RefusalPart(refusal):
                self.words.append(refusal)
                return "refusal", text_html(refusal, {}, _nothing)
        text = part.raw.get("text") if isinstance(part.raw, dict) else None
        if isinstance(text, str) and part.raw.keys() <= {"type", "text"}:
            self.words.append(text)
            return "text", text_html(text, {}, _nothing)
        self.words.append(text if isinstance(text, str) else "")
        return "unknown", (part.type or "content", text if isinstance(text, str) else None, _json(part.raw))

    def _text(self, part: TextPart) -> Markup:
        if not part.annotations:
            return text_html(part.value, {}, _nothing)
        placed, unplaced = spans(part.value, part.annotations)
        if self._options.citations == "strip":
            self._lose("annotations", "citations are stripped")
            return text_html(part.value, placed, _nothing)
        html = text_html(part.value, placed, self._mark)
        for one in unplaced:
            if isinstance(one, FileCitation | FilePath):
                self._note(one)
            else:
                self.others.append(_json(one.raw))
        return html

    def _mark(self, marker: str, cited: Sequence[FileCitation | FilePath]) -> Markup:
        numbers = dict.fromkeys(map(self._note, cited))
        links = Markup("").join(_NOTE.format(self._number, number, number) for number in numbers)
        return links if self._options.citations == "footnotes" else _MARKER.format(marked(marker)) + links

    def _note(self, one: FileCitation | FilePath) -> int:
        number, words = self._footnotes.note(one)
        self.notes[number] = words
        return number

    def _image_file(self, part: ImageFilePart) -> _Image:
        path, name = self._files.get(part.file_id), _named(part.file_id, self._files)
        if self._options.files_url is not None:
            address = file_url(self._options.files_url, part.file_id if path is None else path.name)
            return _Image(name, None, link(address))
        if path is None:
            return _Image(name, None, marked("not downloaded"))
        image = (_inline_image if self._options.inline_images else self._image)(path, name)
        if image.lost is not None:
            self._lose("image_file", f"{image.lost}; its name is on the page")
        return image

    def _lose(self, lost: str, why: str) -> None:
        self.losses.append(Loss(self._record.thread_id, self._record.message_id, lost, why))


_LONGEST_URL = 2_000
_SHOWN_DATA = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+={0,2}")
_MARKER = Markup('<span class="marker">{}</span>')
_NOTE = Markup('<a class="cite" href="#m-{}-note-{}">{}</a>')


# --- images


_KINDS = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), (".png",)),
    (re.compile(rb"\xff\xd8\xff"), (".jpg", ".jpeg")),
    (re.compile(rb"GIF8[79]a"), (".gif",)),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), (".webp",)),
)
_NO_IMAGE = "the download is no PNG, JPEG, GIF or WebP image"


@attrs.frozen
class _Images:
    """Copies of images, in a folder."""

    folder: Path

    def shown(self, path: Path, name: str) -> _Image:
        """Copy an image, if it is not there already, and return how it is shown."""
        try:
            opened = open_regular(path)
        except (OSError, OutputUnusable) as error:
            return _unreadable(name, error)
        with opened as file:
            if not (endings := _endings(file)):
                return _lost(name, _NO_IMAGE)
            copied = path.name if path.name.lower().endswith(endings) else path.name + endings[0]
            if not (self.folder / copied).exists():
                with create(self.folder / copied) as copy:
                    shutil.copyfileobj(file, copy)
        return _Image(name, f"../files/{quote(copied, errors='replace')}")


def _lost(name: str, why: str) -> _Image:
    return _Image(name, None, marked(why), why)


def _unreadable(name: str, error: Exception) -> _Image:
    return _lost(name, f"the image cannot be read: {error}")


def _endings(file: BinaryIO) -> tuple[str, ...]:
    """The endings of the image type that the content of a file has; none if it is no image. It is at its start then."""
    beginning = file.read(12)
    file.seek(0)
    return next((endings for kind, endings in _KINDS if kind.match(beginning)), ())


def _inline_image(path: Path, name: str) -> _Image:
    try:
        with open_regular(path) as file:
            endings = _endings(file)
        if not endings:
            return _lost(name, _NO_IMAGE)
        kind = {".jpg": "jpeg"}.get(endings[0], endings[0][1:])
        return _Image(name, f"data:image/{kind};base64,{data_url(path).partition(',')[2]}")
    except (OSError, OutputUnusable) as error:
        return _unreadable(name, error)


# --- the templates, and what they call


_OWN_FILES = "style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'"
"""For a page on the disk, 'self' is what is on the disk (measured with Chromium 150 and Firefox 140)."""


def _write_page(path: Path, template: str, **values: Any) -> None:
    with create(path) as file:
        pieces = _PAGES.get_template(template).stream(**values)
        pieces.enable_buffering(100)
        pieces.dump(file, "utf-8")


@cache
def _source(name: str) -> str:
    """Our own stylesheet or script."""
    text, _, _ = _LOADER.get_source(_PAGES, name)
    return text


def _hash(text: str) -> str:
    """The hash of an inline script or style, as a policy names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _days(first: int | None, last: int | None) -> str:
    """Write the days from one time to another, or the only one."""
    return " – ".join(dict.fromkeys(_when(one, "%Y-%m-%d") for one in (first, last) if one is not None))


def _when(seconds: int, shape: str = "%Y-%m-%d %H:%M") -> str:
    """Write a time as a person reads it; a number that is no time of the calendar as it is."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime(shape)
    except (ValueError, OverflowError, OSError):
        return f"{cut(str(seconds), 20)} seconds after 1970"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


_BDI, _END_OF_BDI = Markup("<bdi>"), Markup("</bdi>")
_LOADER = jinja2.PackageLoader("threadkeep.conversion")
_PAGES = jinja2.Environment(
    loader=_LOADER, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
_PAGES.filters |= {
    "foreign": marked,
    "visible": visible,
    "word": lambda text: Markup("").join((_BDI, marked(text), _END_OF_BDI)),
    "number": "{:,}".format,
    "counted": _counted,
    "when": _when,
}
_PAGES.globals |= {"contents_address": _contents_address}
