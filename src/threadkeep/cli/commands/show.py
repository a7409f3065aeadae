"""``threadkeep show``: conversations as people read them, in a terminal or as pages."""

import contextlib
import difflib
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from threadkeep.cli.arguments import OUT
from threadkeep.cli.commands.convert import print_converted, print_not_complete
from threadkeep.cli.console import counted, escape, ignore_broken_pipe, print_error
from threadkeep.cli.exit_codes import Exit
from threadkeep.cli.option_groups import WHAT, argument, command, option
from threadkeep.cli.progress_display import ThreadsBar
from threadkeep.cli.shared_options import (
    FILE,
    force_option,
    output_option,
)
from threadkeep.clock import now
from threadkeep.conversion.content import Footnotes, named_file, with_footnotes
from threadkeep.conversion.entrypoints import FORMATS, convert, convert_thread
from threadkeep.conversion.job import FormatName
from threadkeep.conversion.source import UnknownThread
from threadkeep.errors import MalformedLine, OutputUnusable
from threadkeep.html_report.visible_text import cut, visible
from threadkeep.records.markdown import moment_of
from threadkeep.records.model import (
    FileCitation,
    FilePath,
    ImageFilePart,
    ImageUrlPart,
    MessageRecord,
    Part,
    RefusalPart,
    TextPart,
    UnknownPart,
)
from threadkeep.records.ndjson import decode
from threadkeep.serialization.lossless_json import dumps
from threadkeep.storage.index import Outcome
from threadkeep.storage.reader import Export, ExportedThread, read

__all__ = ["show"]

_PAGES = [name for name in ("markdown", "html") if name in FORMATS]

# So many threads are compared with an unknown id, and in so many messages the first words are looked for.
_COMPARED, _LOOKED_AT = 100_000, 20
_WORDS, _NAME = 60, 200

_CHECK = "`threadkeep validate` finds what is missing, and the export command repairs it."


@command("Show conversations as text, or write them as pages.")
@argument("out", "The export, an NDJSON file or a folder of Markdown pages.", type=OUT)
@argument("thread_id", "The thread to show; without it, all are listed.", required=False)
@option(WHAT, "--format", "to", type=click.Choice(_PAGES), help="Write pages of this format, in place of text.")
@output_option("target", FILE, "TARGET")
@force_option
def show(out: Path, thread_id: str | None, to: FormatName | None, target: str | None, force: bool) -> int:
    """Show a thread of OUT as text, or without THREAD_ID list the threads with their first words.

    On a terminal the text goes through a pager (PAGER, or less). With --format, pages are written as `threadkeep
    convert` writes them: the page of THREAD_ID to the file TARGET, or those of all threads to the folder TARGET.
    """
    if (to is None) != (target is None):
        raise click.UsageError("Give --format and --output together: one says what is written, the other where.")
    if target == "-":
        raise click.UsageError("--output takes a file or folder: without --format the text is on standard output.")
    with _unreadable_named(), read(out) as export:
        thread = None if thread_id is None else _thread(export, thread_id)
        if to is None or target is None:
            _warn_of_damage(export)
            is_terminal = sys.stdout is not None and sys.stdout.isatty()
            _print(_list(export, two_lines=is_terminal) if thread is None else _conversation(thread))
            return Exit.COMPLETE
    return _write(out, thread_id, to, target, force=force)


def _warn_of_damage(export: Export) -> None:
    for name in sorted({"out", "index"} & export.faults.keys()):
        print_error(f"the export is damaged, and messages may be left out: {export.faults[name]}", _CHECK)


@contextlib.contextmanager
def _unreadable_named() -> Iterator[None]:
    try:
        yield
    except MalformedLine as error:
        raise OutputUnusable(f"{error}. `threadkeep validate` finds every such line.") from None


def _thread(export: Export, thread_id: str) -> ExportedThread:
    try:
        return export[thread_id]
    except KeyError:
        near = _nearest(thread_id, [one.thread_id for one in itertools.islice(export.threads(), _COMPARED)])
        named = f" Nearest: {', '.join(escape(one, _NAME) for one in near)}." if near else ""
        words = f"{escape(thread_id, _NAME)} is not a thread of {escape(str(export.path), _NAME)}."
        raise click.UsageError(f"{words}{named}") from None


def _nearest(wanted: str, ids: list[str]) -> list[str]:
    """Return the ids that a mistyped one, or a piece of one, may mean."""
    with_it = (one for one in ids if wanted in one)
    return [*itertools.islice(with_it, 3)] or difflib.get_close_matches(wanted, ids, cutoff=0.7)


def _write(out: Path, thread_id: str | None, to: FormatName, target: str, *, force: bool) -> int:
    try:
        if thread_id is None:
            with ThreadsBar(shown=True, clock=lambda: now().timestamp()) as bar:
                done = convert(
                    out,
                    to=to,
                    target=target,
                    force=force,
                    on_event=lambda event: bar.take(event.messages, event.total),
                )
        else:
            done = convert_thread(out, thread_id, to=to, target=target, force=force)
    except UnknownThread as error:
        raise click.UsageError(str(error)) from None
    with ignore_broken_pipe():
        print_converted(done)
    print_not_complete(done, out)
    return Exit.COMPLETE


def _print(pieces: Iterable[str]) -> None:
    """Print pieces of text, through a pager on a terminal."""
    with ignore_broken_pipe():
        if sys.stdout is not None and sys.stdout.isatty():
            click.echo_via_pager(pieces)
        else:
            for piece in pieces:
                click.echo(piece, nl=False)


# --- the list


def _list(export: Export, *, two_lines: bool = False) -> Iterator[str]:
    thread = None
    for thread in export.threads():
        yield _row(thread, two_lines=two_lines)
    if thread is None:
        yield f"{escape(str(export.path))} has no threads.\n"


def _row(thread: ExportedThread, *, two_lines: bool) -> str:
    count, last, words, begun = 0, b"", "", None
    for last in thread.messages.lines():
        if count == 0 or (not words and count < _LOOKED_AT):
            record = decode(last)
            begun = record.created_at if count == 0 else begun
            words = visible(" ".join(record.text[: 10 * _WORDS].split()))
        count += 1
    ended = decode(last).created_at if last else None
    days = [*dict.fromkeys(moment_of(one)[:10] for one in (begun, ended) if one is not None)]
    outcome = [] if thread.outcome in (None, Outcome.COMPLETE) else [f"({thread.outcome})"]
    cells = [f"{escape(thread.thread_id, 80):<31}", f"{counted(count, 'message'):>15}", f"{' – '.join(days):<23}"]
    facts, words = " ".join([*cells, *outcome]), words if len(words) <= _WORDS else f"{words[:_WORDS]}…"
    if two_lines:  # both fit a terminal of 80 columns
        return f"{facts.rstrip()}\n" + (f"  {words}\n" if words else "")
    return f"{facts} {words}".rstrip() + "\n"


# --- a conversation


def _conversation(thread: ExportedThread) -> Iterator[str]:
    yield f"{_heading(thread.thread_id)}\n"
    for name, words in _facts(thread):
        yield f"  {name:<14}{escape(words, 2000)}\n"
    is_empty = True
    for record in thread.messages:
        is_empty = False
        role = record.role or "no role"
        yield f"\n{_heading(f'{role[:1].upper()}{role[1:]}, {moment_of(record.created_at)}, {record.message_id}')}\n"
        yield "".join(f"{_shown(block)}\n" for block in _blocks(record, thread))
    if is_empty:
        yield "\nno messages\n"


def _heading(words: str) -> str:
    return click.style(escape(words), bold=True)


def _facts(thread: ExportedThread) -> Iterator[tuple[str, str]]:
    if thread.assistant_id is not None:
        yield "assistant", thread.assistant_id
    if thread.thread is not None:
        yield "created", moment_of(thread.thread.get("created_at"))
        if thread.thread.get("metadata"):
            yield "metadata", dumps(thread.thread["metadata"]).decode()
    if thread.outcome not in (None, Outcome.COMPLETE):
        yield str(thread.outcome), thread.reason or "not complete"


def _shown(text: str) -> str:
    """Return a text as a terminal may have it: what is no letter, blank or line end can be seen, and does nothing."""
    return visible(text.replace("\r\n", "\n"))


def _blocks(record: MessageRecord, thread: ExportedThread) -> Iterator[str]:
    footnotes = Footnotes(thread.files)

    def named(file_id: str) -> str:
        return named_file(file_id, thread.files[file_id].name) if file_id in thread.files else file_id

    for part in record.parts:
        yield _part(part, footnotes, named)
    attachments = record.raw.get("attachments")
    for row in attachments if isinstance(attachments, list) else ():
        if isinstance(row, dict) and isinstance(row.get("file_id"), str):
            yield f"[attached {named(row['file_id'])}]"
    if not record.parts:
        yield "[no content]"


def _part(part: Part, footnotes: Footnotes, named: Callable[[str], str]) -> str:
    match part:
        case TextPart(value, annotations):
            text, unplaced = with_footnotes(value, annotations, footnotes)
            notes = dict(footnotes.note(one) for one in unplaced if isinstance(one, FileCitation | FilePath))
            return "\n".join([text, *(footnotes.line.format(*note) for note in notes.items())])
        case ImageFilePart(file_id):
            return f"[image {named(file_id)}]"
        case ImageUrlPart(url):
            return f"[image {cut(url, _NAME)}]"
        case RefusalPart(refusal):
            return f"[refusal] {refusal}"
        case UnknownPart(kind, raw):
            return _unknown(kind, raw)


def _unknown(kind: str | None, raw: Any) -> str:
    text = raw.get("text") if isinstance(raw, dict) else None
    known = text if isinstance(text, str) else cut(dumps(raw).decode(), _NAME)
    return f"[{kind or 'a part without a type'}] {known}"
