"""``threadkeep status``: the state of an export, without reading its lines."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs
import click
import msgspec

from threadkeep.cli.arguments import OUT_OR_PREFIX
from threadkeep.cli.console import (
    counted,
    escape,
    ignore_broken_pipe,
    moment,
    print_error,
    print_json,
    print_row,
    print_steps,
)
from threadkeep.cli.exit_codes import Exit
from threadkeep.cli.export_summary import OTHER_PAGES, print_manifest
from threadkeep.cli.option_groups import OUTPUT, argument, command, option
from threadkeep.cli.prefix_summary import prefix_as_json, print_prefix
from threadkeep.cli.shared_options import (
    json_option,
)
from threadkeep.cli.suggestions import MERGE_AGAIN, MISSING, can_be_resumed, command_on, export_again
from threadkeep.errors import OutputUnusable
from threadkeep.scale.collect import prefix_at
from threadkeep.scale.object_store import ObjectStore
from threadkeep.scale.progress import complete_ids, prefix_state
from threadkeep.serialization.thread_ids import is_thread_id
from threadkeep.storage.damage import index_rows, spans_of
from threadkeep.storage.file_set import open_file_set
from threadkeep.storage.index import SEVERAL_SOURCES, Outcome
from threadkeep.storage.lines import size_of
from threadkeep.storage.not_exports import refuse_no_export
from threadkeep.storage.paths import Paths
from threadkeep.storage.progress import ExportState
from threadkeep.storage.progress import status as read_status
from threadkeep.validation.findings import KINDS

__all__ = ["status"]

_CHECK = "`threadkeep validate` reads all of it, and says more."


@command("Show how far an export is.")
@argument("out", "The export to look at.", type=OUT_OR_PREFIX)
@option(OUTPUT, "--done", is_flag=True, help="Print the ids of complete threads, for `export --done`.")
@json_option
def status(out: Path | str, done: bool, as_json: bool) -> int:
    """Show how far the export OUT is: whether a run writes to it, how many threads are complete, and what to do next.

    Only the manifest, the sizes of the files and the progress of a run are read: `threadkeep validate` reads all of it.

    OUT may be a prefix of `threadkeep export --dask`: its plan and the manifests of its shards are read.
    """
    if done and as_json:
        raise click.UsageError("Give --done or --json, not both.")
    store = prefix_at(out)
    if store is not None:
        if done:
            return _print_done(complete_ids(store), f"an object of {out} that has their lines is missing")
        return _status_of(store, str(out), as_json=as_json)
    paths = Paths(Path(out))
    refuse_no_export(paths.out)
    if done:
        return _print_done(_complete_ids(paths), f"a file of {paths.out.name} ends before their lines do")
    state = read_status(paths.out)
    if not (state.holder or state.has_store or state.has_index or state.manifest or state.faults):
        what = "is no export" if Path(out).exists() else "does not exist"
        raise OutputUnusable(f"{out} {what}: there is no {paths.index.name} and no {paths.store.name}. Check OUT.")
    with ignore_broken_pipe():
        if as_json:
            print_json(_row(state))
        else:
            _print_state(state)
    return Exit.COMPLETE if state.is_complete else Exit.INCOMPLETE


def _status_of(store: ObjectStore, prefix: str, *, as_json: bool) -> int:
    state = prefix_state(store)
    with ignore_broken_pipe():
        if as_json:
            print_json(prefix_as_json(state, prefix))
        else:
            print_prefix(state, prefix)
    return Exit.COMPLETE if state.is_complete else Exit.INCOMPLETE


def _print_done(ids: Iterable[tuple[str, bool]], why: str) -> int:
    """Print ids only of threads that can be there: somebody leaves them out of another export."""
    lost = 0
    for thread_id, is_there in ids:
        if is_there:
            click.echo(thread_id)
        else:
            lost += 1
    if not lost:
        return Exit.COMPLETE
    print_error(f"{counted(lost, 'complete thread')} left out: {why}", _CHECK)
    return Exit.INCOMPLETE


def _complete_ids(paths: Paths) -> Iterator[tuple[str, bool]]:
    """Yield the ids of complete threads, and whether their lines can be there."""
    with open_file_set(paths) as files:
        if not files.has_index:
            raise OutputUnusable(f"{paths.index} does not exist: no thread is in the export yet")
        sizes = {name: size_of(file) for name, file in files.files.items()}
        for row in index_rows(files.files["index"], paths.index.name):
            if row.outcome is Outcome.COMPLETE and is_thread_id(row.thread_id):
                spans = [(name, span) for name, span in spans_of(row) if name != "partial"]
                yield row.thread_id, all(span.end <= sizes.get(name, 0) for name, span in spans)


def _print_state(state: ExportState) -> None:
    out, manifest, is_run_left = escape(str(state.paths.out)), state.manifest, state.has_store or state.holder
    if is_run_left:
        what = "a run was cut off" if state.holder is None else f"an export is running, {escape(str(state.holder))}"
        since = "" if state.store is None else f", begun {moment(state.store.started_at)}"
        click.echo(f"{out}: {what}{since}")
        _print_progress(state)
    if manifest is not None:
        print_manifest(state.paths, manifest)
        print_row("begun", f"{moment(manifest.started_at)}, written {moment(manifest.finished_at)}")
        if manifest.ended_by is not None:
            print_row("ended by", escape(manifest.ended_by, 300))
    elif state.has_index:
        print_error(f"{state.paths.manifest.name} is lost or damaged: the next export writes it anew from the index")
    if state.faults:
        print_error("; ".join(state.faults), _CHECK)
    if manifest is not None and not is_run_left:
        click.echo(f"{out}: {'complete, by its manifest' if state.is_complete else 'not complete'}")
    print_steps(_next_lines(state))


def _print_progress(state: ExportState) -> None:
    if state.store is None:
        click.echo("  its progress cannot be read now" if state.has_store else "  it has not fetched anything yet")
        return
    now = state.store.progress
    done = now.already_complete + now.complete + now.not_complete
    before = f", {now.already_complete:,} of them before this run" if now.already_complete else ""
    print_row("progress", f"{done:,} of {counted(now.threads, 'thread')}{before}")
    if now.not_complete:
        print_row("", f"{now.not_complete:,} of them are missing or failed")
    files = f", {counted(now.files, 'file')}" if now.files else ""
    messages = f"{counted(now.complete, 'complete thread')} with {counted(now.messages, 'message')}{files}"
    print_row("fetched", f"{messages}; {OTHER_PAGES}")
    if state.manifest is not None:
        click.echo("The run before has written:")


def _next_lines(state: ExportState) -> Iterator[str]:
    out = state.paths.out
    if state.holder is not None:
        return
    if state.has_store:
        yield "Next: the same export command resumes the run. Without the API, this writes what has been fetched:"
        yield f"  {command_on('write', out)}"
    elif not state.has_index:
        yield f"Next: {KINDS['lost_index'].remedy}"
    elif state.is_complete or state.manifest is None:
        yield f"Next: {command_on('validate', out)}"
    elif not (state.faults or can_be_resumed(state.manifest.outcomes, state.manifest)):
        yield f"Next: {MISSING}"
        yield f"  {command_on('validate', out)}"
    elif state.manifest.source == SEVERAL_SOURCES:
        yield f"Next: {MERGE_AGAIN}"
        yield f"  {command_on('validate', out)}"
    else:
        yield "Next: with your file of ids in the place of THREAD_IDS, this completes the export:"
        files = state.manifest.downloads is not None
        yield f"  {export_again(state.manifest, out, 'THREAD_IDS', files=files)}"


def _row(state: ExportState) -> dict[str, Any]:
    store = state.store
    return {
        "out": str(state.paths.out),
        "complete": state.is_complete,
        "at_work": None if state.holder is None else attrs.asdict(state.holder),
        "cut_off": state.has_store and state.holder is None,
        "store": None if store is None else {"started_at": store.started_at, **attrs.asdict(store.progress)},
        "manifest": None if state.manifest is None else msgspec.to_builtins(state.manifest),
        "faults": state.faults,
    }
