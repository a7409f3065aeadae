"""A folder of Markdown pages, as a conversion writes it and people may have moved it."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

from threadkeep.errors import OutputUnusable
from threadkeep.records.markdown import Page, read_contents, read_head, read_messages
from threadkeep.records.model import MessageRecord
from threadkeep.records.ndjson import encode
from threadkeep.storage.lines import lines_in
from threadkeep.storage.private_files import on_disk, open_regular

__all__ = ["PageRecords", "files_of_page", "pages_in"]


@attrs.frozen
class PageRecords:
    """The messages of one page, read each time that they are iterated.

    Attributes:
        path: of the page.
        page: its front matter.
    """

    path: Path
    page: Page

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.path.name

    def __iter__(self) -> Iterator[MessageRecord]:
        """Yield them.

        Raises:
            OutputUnusable: the page is damaged, cut off, or cannot be read.
        """
        with _read(self.path) as lines:
            read_head(lines)
            yield from read_messages(self.page, lines)

    def lines(self) -> Iterator[bytes]:
        """Yield the lines of an export that they are, without newlines. Raises as iterating does."""
        for record in self:
            yield encode(record, flat=not record.raw)


def pages_in(folder: Path) -> Iterator[PageRecords]:
    """Yield the pages of a folder in the order of its list.

    Raises:
        OutputUnusable: it is no folder that a conversion has written, or a page is missing or damaged.
    """
    contents = folder / "index.md"
    if not contents.is_file():
        raise OutputUnusable(f"{folder} is a folder without an index.md, and so no Markdown export. Check OUT.")
    with _read(contents) as names:
        for name in read_contents(names):
            path = folder / f"{name}.md"
            with _read(path) as lines:
                page = read_head(lines)
            yield PageRecords(path, page)


def files_of_page(records: PageRecords) -> Mapping[str, Path]:
    """Return where the files are that a page refers to, by their ids, as far as they are there."""
    folder = records.path.parent / "files"
    found = {file_id: folder / Path(name).name for file_id, name in records.page.files.items()}
    return {file_id: path for file_id, path in found.items() if path.is_file()}


@contextlib.contextmanager
def _read(path: Path) -> Iterator[Iterator[str]]:
    """Yield the lines of a page. In an error of the page its file and line are named."""
    number = 0

    def lines() -> Iterator[str]:
        nonlocal number
        for line in lines_in(file, path.name):
            number += 1
            yield line.removesuffix(b"\n").removesuffix(b"\r").decode()

    with on_disk(path), open_regular(path) as file:
        try:
            yield lines()
        except ValueError as error:
            raise OutputUnusable(f"{path}, line {number}: {error}") from None
