"""Convert an export: what ``threadkeep convert`` does, from Python.

A format is a module of `threadkeep.conversion.formats` with three names, and a name in `FormatName`:

``DESCRIPTION``
    One line for ``--help``, a sentence.
``NO_PLACE``
    A tuple of words for what the format never has a place for, such as "times". It is named once, in the totals, and
    no row of the loss report is written for it.
``write(threads, path, conversion)``
    Write ``path``, a file or a folder, from an iterable of `threadkeep.conversion.source.Thread`, which is read once
    and in order. ``path`` does not exist yet, is in a folder of its own, and is put in place later, so that nothing has
    to be removed or renamed after an error. Everything that the format cannot carry of a message or a thread goes to
    ``conversion.lose``, as `threadkeep.conversion.losses.Loss`; nothing else is reported or counted by a format.
    Messages are never held all at once: a thread may have any number, and so may an export of threads.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, get_args

import attrs

from threadkeep.arguments import A_FUNCTION, A_PATH, A_STR, A_SWITCH, IDS, refuse_wrong_types
from threadkeep.conversion.job import Citations, Conversion, FormatName, Options, Unsupported
from threadkeep.conversion.losses import LossReport
from threadkeep.conversion.source import Source, Thread, ThreadConverted
from threadkeep.conversion.target import Target
from threadkeep.errors import OutputUnusable
from threadkeep.serialization.lossless_json import NestedTooDeeply
from threadkeep.storage.private_files import create
from threadkeep.storage.reader import read

__all__ = ["FORMATS", "Converted", "Format", "convert", "convert_thread", "format_named"]

FORMATS: Mapping[str, str] = {name: name.replace("-", "_") for name in get_args(FormatName)}
"""The module of each format, by its name, in the order in which they are listed."""


class Format(Protocol):
    """A module that writes a format, see above."""

    DESCRIPTION: str
    NO_PLACE: tuple[str, ...]

    def write(self, threads: Iterable[Thread], path: Path, conversion: Conversion) -> None:
        """Write the threads."""


@attrs.frozen(kw_only=True)
class Converted:
    """What came of a conversion.

    Attributes:
        path: the file or folder that was written.
        losses_path: the loss report: a row for each lost thing, ``thread_id, message_id, lost, why``.
        threads, messages: how many were read of OUT.
        losses: how many rows the report has, by ``lost``.
        left_out: how many messages are not in the target, since nothing is left of them, or never was anything.
        no_place: what the format never has a place for; no row is written for it.
        not_complete: how many threads of the export are not complete, and so not converted.
        is_flat: whether the export is flat: it had texts only, and what else the messages held is not known.
        faults: sidecar files that are not as the manifest says: what they held is not in the target.
    """

    path: Path
    losses_path: Path
    format: str
    threads: int
    messages: int
    losses: Mapping[str, int]
    left_out: int
    no_place: tuple[str, ...]
    not_complete: int
    is_flat: bool
    faults: tuple[str, ...] = ()


def format_named(name: str) -> Format:
    """Import a format.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in FORMATS:
        raise ValueError(f"there is no format {name!r}: choose one of {', '.join(FORMATS)}")
    module: Any = import_module(f"threadkeep.conversion.formats.{FORMATS[name]}")
    found: Format = module
    return found


def convert(
    out: str | os.PathLike[str],
    *,
    to: FormatName,
    target: str | os.PathLike[str],
    only: Iterable[str] | None = None,
    citations: Citations = "keep",
    unsupported: Unsupported = "skip",
    files_url: str | None = None,
    inline_images: bool = False,
    force: bool = False,
    on_event: Callable[[ThreadConverted], object] | None = None,
) -> Converted:
    """Write an export in another format, and a report of everything that the format cannot carry.

    The export is only read. An NDJSON file without an index is taken too, and so is a flat export, which has texts
    only. The report, ``TARGET.losses.ndjson``, is always written. Memory does not grow with the export.

    Args:
        out: the export.
        to: a name of `FORMATS`.
        target: the file or folder to write.
        only: the ids of the threads to convert; None for all that are complete.
        citations: "keep" leaves texts as they are, "strip" takes the markers of citations out, "footnotes" puts
            numbers in their place and the names of the files behind the text.
        unsupported: what to do with what a role cannot carry: "skip" it, or keep it as "text". It is a loss either way.
        files_url: the beginning of the URLs of image files.
        inline_images: take image files that were downloaded as data URLs.
        force: replace an earlier target.
        on_event: called with a `ThreadConverted` for each thread, when it has been converted.

    Returns:
        What came of it.

    Raises:
        ValueError: options that contradict each other, a format or option that there is not, or a thread in ``only``
            that is not in OUT.
        TypeError: an argument is of another type.
        MalformedLine: a line of OUT is no message.
        OutputUnusable: OUT cannot be read, or the target exists already, is a file of the export, or cannot be written.
            Nothing of it is left then.
        ExtraMissing: DuckDB is not installed, which writes Parquet.
    """
    refuse_wrong_types(locals(), _TYPES, frozenset({"only", "files_url", "on_event"}))
    if isinstance(only, str):
        raise TypeError("only is a str: give the ids themselves, such as a list of them")
    options = Options(citations=citations, unsupported=unsupported, files_url=files_url, inline_images=inline_images)
    wanted = None if only is None else frozenset(only)
    return _convert(Path(out), to, format_named(to).write, Path(target), options, wanted, force, on_event)


_TYPES: Mapping[str, tuple[Any, str]] = {
    **dict.fromkeys(("out", "target"), A_PATH),
    **dict.fromkeys(("to", "files_url"), A_STR),
    "only": IDS,
    **dict.fromkeys(("inline_images", "force"), A_SWITCH),
    "on_event": A_FUNCTION,
}


def convert_thread(
    out: str | os.PathLike[str],
    thread_id: str,
    *,
    to: FormatName,
    target: str | os.PathLike[str],
    citations: Citations = "keep",
    force: bool = False,
) -> Converted:
    """Write one thread as one page, a file. Arguments, result and errors are those of `convert`.

    Args:
        to: a format whose module has a function ``page(thread, conversion)`` too, which yields the page in pieces.
    """
    pages: Any = format_named(to)

    def write(threads: Iterable[Thread], path: Path, conversion: Conversion) -> None:
        with create(path) as file:
            for thread in threads:
                pieces: Iterator[str] = pages.page(thread, conversion)
                for piece in pieces:
                    file.write(piece.encode())

    options = Options(citations=citations)
    return _convert(Path(out), to, write, Path(target), options, frozenset([thread_id]), force, None)


def _convert(
    out: Path,
    to: str,
    write: Callable[[Iterable[Thread], Path, Conversion], None],
    target: Path,
    options: Options,
    only: frozenset[str] | None,
    force: bool,
    on_event: Callable[[ThreadConverted], object] | None,
) -> Converted:
    place = Target(target)
    place.refuse(out, force=force)
    with read(out) as export, place.written(force=force) as draft:
        faults = dict(export.faults)
        for name in {"out", "index"} & faults.keys():
            raise OutputUnusable(
                f"the export is damaged, and messages would be left out: {faults[name]}. `threadkeep validate` says"
                " what is missing, and the export command repairs it."
            )
        source = Source(export, only, on_event or (lambda _: None))
        with LossReport(create(draft.losses)) as losses:
            try:
                write(source, draft.path, Conversion(out=export.path, options=options, losses=losses, target=target))
            except NestedTooDeeply:
                what = "the JSON of a message is nested too deeply for this format. The format sqlite takes it"
                raise OutputUnusable(f"{export.path}: {what}.") from None
    return Converted(
        path=place.path,
        losses_path=place.losses,
        format=to,
        threads=source.threads,
        messages=source.messages,
        losses=dict(losses.totals),
        left_out=losses.left_out,
        no_place=format_named(to).NO_PLACE,
        not_complete=source.not_complete,
        is_flat=source.is_flat,
        faults=tuple(faults.values()),
    )
