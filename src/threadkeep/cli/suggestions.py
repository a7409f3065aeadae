"""What to do after a command, in words, and what to type."""

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, count
from pathlib import Path

import attrs

from threadkeep.cli.exit_codes import exit_for
from threadkeep.errors import ApiGone, Interrupted, OutputUnusable
from threadkeep.exporter.job import ExportResult
from threadkeep.storage.index import IndexHeader, Outcome
from threadkeep.storage.manifest import Manifest
from threadkeep.storage.paths import Paths

__all__ = [
    "MERGE_AGAIN",
    "MISSING",
    "Next",
    "can_be_resumed",
    "command_on",
    "export_again",
    "list_options",
    "merge_of",
    "next_step",
    "unused_name",
]

_AGAIN = "The same command{} resumes the export: complete threads are not asked for again."
_UNWRITTEN = "What has been fetched is in the working store {}. Without the API, this writes it:"
_LEFT_OVER = (
    "List the threads of earlier runs too, or name those that you do not need in a file for --drop. This checks the"
    " export:"
)
_NOT_REFRESHED = "What could not be refreshed is as it was. The same command asks for all threads of the list again."
_FILES = "The same command with --files downloads the files that are not saved yet."
_NO_FILE = (
    "A file belongs to a project: give the key of the project that has these files. Or run the same command without"
    " --files: the threads are complete. This checks the export:"
)
MISSING = (
    "A missing thread stays missing, unless another key knows it. Name those that you do not need in a file for --drop."
    " This checks the export:"
)
MERGE_AGAIN = (
    "The export was merged from exports of several addresses. Resume those that are not complete, and merge again. This"
    " checks what is there:"
)
_MALFORMED = "Correct these lines or remove them, and run the same command again. This checks the export:"


@attrs.frozen
class Next:
    """What to do: in words, a line each, and the command to type, if there is another than the same again."""

    words: tuple[str, ...]
    command: str | None = None


def next_step(
    result: ExportResult, ids_file: str | None, column: str | None = None, *, fresh: bool, files: bool
) -> Next:
    """Return what to do after a run: repeat the command where that helps, else validate.

    ``ids_file`` is the list, where it holds all ids of the export, and ``column`` the one that has them; ``fresh``
    whether the command began anew; ``files`` whether it downloads files.
    """
    out = result.paths.out
    validate = command_on("validate", out, *list_options(ids_file, column))
    if result.is_complete:
        return Next((), validate)
    is_resumable = can_be_resumed(result.outcomes, result.manifest, result.left_over) or result.not_refreshed
    if result.ended_by is None and not is_resumable:
        if (
            result.has_no_file
            and not result.invalid_count
            and result.manifest is not None
            and result.manifest.is_complete
        ):
            return Next((_NO_FILE,), validate)
        words = MISSING if result.outcomes[Outcome.MISSING] else _MALFORMED
        return Next((_LEFT_OVER if result.left_over else words,), validate)
    if result.ended_by is None and not can_be_resumed(result.outcomes, None, result.left_over):
        if result.not_refreshed:
            return Next((_NOT_REFRESHED,))
        if not files:
            return Next((_FILES,))
    again = _AGAIN.format(" without --fresh" if fresh else "")
    if isinstance(result.ended_by, Interrupted | OutputUnusable):
        store = _UNWRITTEN.format(result.paths.store.name)
        return Next((again, store), command_on("write", out)) if result.paths.store.exists() else Next((again,))
    hint = "" if result.ended_by is None else exit_for(result.ended_by)[1]
    if isinstance(result.ended_by, ApiGone):
        hint, again = _what_is_saved(result), f"If the API comes back: {again[0].lower()}{again[1:]}"
    return Next(tuple(filter(None, (hint, again if result.manifest is not None else ""))))


def _what_is_saved(result: ExportResult) -> str:
    complete = ["The complete threads are in the export."] if result.outcomes[Outcome.COMPLETE] else []
    partial = f"The pages of threads that were cut off are in {result.paths.partial.name}."
    return " ".join([*complete, *([partial] if result.outcomes[Outcome.PARTIAL] else [])])


def can_be_resumed(outcomes: Mapping[str, int], manifest: Manifest | None, left_over: int = 0) -> bool:
    """Return whether the same export command may complete more threads or files, but for those of earlier lists."""
    waiting = sum(outcomes.get(one, 0) for one in (Outcome.FAILED, Outcome.PARTIAL, Outcome.UNFINISHED))
    files = (manifest and manifest.downloads) or {}
    return waiting > left_over or files.get("failed", 0) + files.get("unfinished", 0) > 0


def command_on(command: str, out: str | Path, *options: str) -> str:
    """Return one of our commands on an export, as it can be typed; each option has its value behind "="."""
    return _typed([command, *options], str(out))


def merge_of(prefix: str, *others: str, options: Sequence[str] = ()) -> str:
    """Return the command that merges a prefix, and other exports with it, to a name that nothing has yet."""
    parts = [f"./{name}" if name.startswith("-") else name for name in (prefix, *others)]
    return " ".join(map(_quoted, ["threadkeep", "merge", *parts, "-o", unused_name("out"), *options]))


def unused_name(stem: str) -> str:
    """Return a name for an export in the current folder: ``STEM.ndjson``, or with a number if something has that."""
    names = chain([f"{stem}.ndjson"], (f"{stem}-{number}.ndjson" for number in count(2)))
    return next(name for name in names if not any(map(os.path.lexists, _files_of(Paths(Path(name))))))


def _files_of(paths: Paths) -> Iterator[Path]:
    yield from paths.all_files()
    yield paths.files


def list_options(ids_file: str | None, column: str | None) -> list[str]:
    """Return the options that name a list of ids; none without a list."""
    if ids_file is None:
        return []
    return [f"--ids={ids_file}", *([] if column is None else [f"--column={column}"])]


def _typed(words: Sequence[str], *names: str) -> str:
    dashes = ["--"] if any(name.startswith("-") for name in names) else []
    return " ".join(map(_quoted, ["threadkeep", *words, *dashes, *names]))


def _quoted(word: str) -> str:
    """Return a word as a shell takes it: what cannot be typed as an escape, which bash, zsh and ksh know."""
    if word.isprintable():
        return shlex.quote(word)
    pieces = (f"\\{char}" if char in "\\'" else char if char.isprintable() else _escape(char) for char in word)
    return f"$'{''.join(pieces)}'"


def _escape(char: str) -> str:
    is_of_a_file_name = "\udc80" <= char <= "\udcff"  # a byte that is not UTF-8
    errors = "surrogateescape" if is_of_a_file_name else "surrogatepass"
    return "".join(f"\\x{byte:02x}" for byte in char.encode(errors=errors))


def export_again(
    header: Manifest | IndexHeader,
    out: str | Path,
    ids_file: str,
    column: str | None = None,
    *,
    files: bool,
    refresh: bool = False,
    is_prefix: bool = False,
) -> str:
    """Return the command that resumes an export.

    Args:
        header: what the export is of.
        out: the export, or the prefix.
        ids_file: the list.
        column: the one that has the ids; None to find it out.
        files: it downloads files.
        refresh: fetch complete threads again too.
        is_prefix: it is made in shards.
    """
    options = {
        "--flat": header.flat,
        f"--include={','.join(header.include)}": header.include,
        "--files": files,
        "--refresh": refresh,
        f"--base-url={header.source}": True,
        "--keys-file=KEYS": is_prefix,
        "--dask=ADDRESS": is_prefix,
        f"--column={column}": column is not None,
    }
    given = [option for option, is_given in options.items() if is_given]
    return _typed(["export", *given], ids_file, header.assistant_id, str(out))
