"""``threadkeep push``: the threads of an export as conversations of another API, or as patterns, each once."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import click

from threadkeep.api.client import PacingOptions
from threadkeep.api.endpoints import ApiSource
from threadkeep.cli.arguments import OUT_OR_PREFIX
from threadkeep.cli.console import ignore_broken_pipe, print_json
from threadkeep.cli.exit_codes import Exit
from threadkeep.cli.option_groups import WHAT, argument, command, option
from threadkeep.cli.prefixes import last_part, readable
from threadkeep.cli.problems import Problems
from threadkeep.cli.progress_display import Screen
from threadkeep.cli.push_options import PushOptions, kind_option, push_options, user_identity_option
from threadkeep.cli.push_summary import print_dry_run, print_push, push_as_json, report_push_ending
from threadkeep.cli.runtime import ask
from threadkeep.cli.shared_options import (
    concurrency_option,
    json_option,
    max_retries_option,
    only_option,
    quiet_option,
    rpm_option,
    to_option,
    verbose_option,
)
from threadkeep.cli.source_options import WHERE_TO, OptionalSource, optional_source_options
from threadkeep.conversion.source import UnknownThread
from threadkeep.exporter.events import Event, FilesBegun, Notice, ThreadEnded, ThreadsBegun
from threadkeep.migration.entrypoints import identity_headers
from threadkeep.migration.events import ConversationVerified, PushBegun, PushEvent, ThreadPushed, VerificationBegun
from threadkeep.migration.job import PushJob, PushResult
from threadkeep.migration.preparation import refuse_unusable
from threadkeep.migration.run import carry_out, plan_only
from threadkeep.migration.targets import TARGETS, PushTarget, useless_with
from threadkeep.scale.collect import prefix_at
from threadkeep.storage.index import DownloadOutcome, DownloadRow, Outcome

__all__ = ["push", "run_push"]


@command("Push the threads of an export to Conversations or Engramia.")
@argument("out", "The export to push.", type=OUT_OR_PREFIX)
@to_option([*TARGETS])
@only_option
@option(WHAT, "--dry-run", is_flag=True, help="Print what would be sent. Nothing is asked or written.")
@option(WHAT, "--verify", is_flag=True, help="Read everything back, and compare it with what was sent.")
@push_options
@optional_source_options(WHERE_TO)
@kind_option("--target")
@user_identity_option("--user-identity", "--user-isolation-key")
@concurrency_option("64, to Engramia 1")
@rpm_option("no limit of its own, to Engramia 60")
@max_retries_option
@verbose_option
@quiet_option
@json_option
def push(
    out: Path | str,
    to: PushTarget,
    source: OptionalSource,
    kind: Any,
    user_identity: str | None,
    pushing: PushOptions,
    only: tuple[str, ...],
    dry_run: bool,
    verify: bool,
    concurrency: int | None,
    rpm: int | None,
    max_retries: int,
    verbose: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Push the complete threads of OUT to a Conversations API: a conversation for each thread that has messages.

    With --to engramia, each question with its answer becomes a pattern there. The address is --base-url or
    ENGRAMIA_API_URL, and the key that of ENGRAMIA_API_KEY.

    The same command resumes a push: OUT.push records what was sent, and nothing is sent twice. The map,
    OUT.conversations.ndjson, has the conversation of each thread, and MAP.losses.ndjson what conversations cannot
    carry; for patterns OUT.engramia.losses.ndjson does that.

    OUT may be a prefix of `threadkeep export --dask`: it is read as the export that `threadkeep merge` writes of it.
    These files are in the current folder then, named after the last part of the prefix.
    """
    target, usual = source.source(of_threads=False), TARGETS[to]
    _refuse_useless(to, pushing, target, kind, user_identity)
    store = prefix_at(out)
    job = pushing.job(
        Path(out) if store is None else Path(last_part(store.url)),
        to,
        target,
        kind,
        user_identity=user_identity,
        only=frozenset(only) or None,
        verify=verify,
        concurrency=concurrency or usual.concurrency,
        pace=PacingOptions(rpm=rpm or usual.rpm, max_retries=max_retries),
    )
    printed = None
    if store is not None and not dry_run:  # before the prefix is fetched
        refuse_unusable(job)
    try:
        with readable(out) as path:
            job = attrs.evolve(job, export=path, name=str(out))
            if dry_run:
                result = asyncio.run(plan_only(job))
            else:
                result, printed = run_push(job, target, user_identity, shown=not quiet and not as_json, verbose=verbose)
    except UnknownThread as error:
        raise click.UsageError(str(error)) from None
    with ignore_broken_pipe():
        if as_json:
            print_json(push_as_json(job, result, dry_run=dry_run))
        elif dry_run:
            print_dry_run(job, result.plan)
        elif not quiet:
            print_push(job, result)
    return Exit.COMPLETE if dry_run else report_push_ending(job, result, printed)


def _refuse_useless(
    to: PushTarget, pushing: PushOptions, target: ApiSource, kind: str | None, user_identity: str | None
) -> None:
    given = {
        "--target": kind,
        "--user-identity": user_identity,
        "--map": pushing.map_,
        "--upload-files": pushing.upload_files,
        "--without-files": pushing.without_files,
        "--inline-images": pushing.inline_images,
        "More than one key": len(target.keys) > 1,
    }
    if (option := useless_with(to, given)) is not None:
        raise click.UsageError(f"{option} is of no use with --to {to}.")


def run_push(
    job: PushJob, target: ApiSource, user_identity: str | None, *, shown: bool, verbose: bool = False
) -> tuple[PushResult, Problems]:
    """Push as `threadkeep.migration.run.carry_out` does, under a screen; see `threadkeep.cli.runtime.ask`.

    Returns the result, and the problems that were printed.
    """

    async def work(transports: Sequence[Any], screen: Screen) -> tuple[PushResult, Problems]:
        result = await carry_out(job, transports, on_event=lambda event: screen.take(_shown(event)))
        return result, screen.problems

    try:
        headers = identity_headers(user_identity)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    kind = job.kind
    unit, second = f"{kind.item}s", f"{kind.thread}s read back"
    return ask(target, work, shown=shown, verbose=verbose, unit=unit, second=second, api=kind.api, headers=headers)


def _shown(event: PushEvent) -> Event:
    """Return the event of an export that is shown as this one is to be."""
    match event:
        case PushBegun(total=total, before=before, traffic=traffic):
            return ThreadsBegun(total=total, before=before, traffic=traffic)
        case ThreadPushed(thread_id=thread_id, items=items, problem=problem):
            outcome = Outcome.COMPLETE if problem is None else Outcome.FAILED
            return ThreadEnded(thread_id=thread_id, outcome=outcome, messages=items, reason=problem)
        case VerificationBegun(total=total):
            return FilesBegun(total=total, before=0)
        case ConversationVerified(thread_id=thread_id, problem=problem):
            outcome_of_file = DownloadOutcome.SAVED if problem is None else DownloadOutcome.FAILED
            return DownloadRow(file_id=thread_id, outcome=outcome_of_file, reason=problem)
        case Notice():
            return event
