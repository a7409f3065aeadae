"""What a push came to, or would: the summary for people, the same for programs, and how it ended."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from threadkeep.cli.console import counted, escape, print_error, print_path, print_row, print_rows, span
from threadkeep.cli.exit_codes import Exit, exit_for
from threadkeep.cli.problems import Problems, names_of
from threadkeep.cli.suggestions import command_on, export_again
from threadkeep.errors import ApiGone, Interrupted, ServerUnreachable, ThreadkeepError, WrongAddress
from threadkeep.migration.job import PushJob, PushResult
from threadkeep.migration.planning import PushPlan
from threadkeep.migration.store import State
from threadkeep.storage.index import SEVERAL_SOURCES
from threadkeep.storage.manifest import Manifest

__all__ = ["print_dry_run", "print_push", "push_as_json", "report_push_ending"]

_AGAIN = "The same command resumes the push: what was sent is not sent again."
_NOT_REPAIRED = "A push changes and deletes nothing that is there. The same command{} {}."
_DOWNLOADS_TOO = "The same command downloads the files that are not here yet, and pushes these threads then."
_DOWNLOAD = (
    "Threads wait for files that are not downloaded; --without-files pushes them without these files. The export"
    " command with --files downloads them, and the same push sends these threads then{}"
)
_ADDRESS = (
    "Check the address: it ends where /conversations begins, in /v1 at OpenAI, and in /api/projects/NAME/openai/v1 at"
    " Foundry. Of Engramia it is that of the server, with or without /v1."
)


def print_dry_run(job: PushJob, plan: PushPlan) -> None:
    """Print what a push would do."""
    rpm = job.pace.rpm
    click.echo(f"{escape(job.name)}: dry run of a push to {escape(job.address)}; nothing was sent")
    rows = [("conversations", f"{plan.conversations:,} to create")] if job.kind.has_conversations else []
    rows += [
        (f"{job.kind.item}s", f"{plan.items:,} to send"),
        *_left_out(job, plan.left_out),
        ("requests", f"{plan.requests:,} that write, if each is answered"),
    ]
    if rpm is not None:
        rows.append(("time", f"about {span(plan.minutes(rpm) * 60)} at {counted(rpm, 'request')} a minute"))
    print_rows([*rows, ("lost", _lost(plan.losses)), *_files(plan), *_others(job, plan)])


def _files(plan: PushPlan) -> Iterator[tuple[str, str]]:
    if plan.files:
        files = f"{counted(plan.files, 'file')} of messages, {plan.files_here:,} downloaded"
        yield "files", f"{files}; what the target does not have and is not sent is lost"
    if plan.awaiting:
        yield "not here yet", f"files of {counted(plan.awaiting, 'thread')}: not pushed before they are downloaded"


def _left_out(job: PushJob, left_out: int) -> Iterator[tuple[str, str]]:
    if left_out:
        yield "left out", f"{counted(left_out, 'message')} without content for an {job.kind.item}"


def _others(job: PushJob, plan: PushPlan) -> Iterator[tuple[str, str]]:
    before = plan.threads - plan.empty - plan.to_send - plan.changed
    if before:
        yield "pushed before", counted(before, "thread")
    if plan.changed:
        yield "changed", f"{counted(plan.changed, 'thread')} since an earlier push: what is there stays as it is"
    if plan.empty:
        yield "empty", f"{counted(plan.empty, 'thread')} with nothing to send"
    if plan.not_complete:
        yield "not complete", f"{counted(plan.not_complete, 'thread')} of the export: not pushed"
    if plan.is_flat:
        yield "flat", "OUT has texts only: what else the messages had is not known"
    elif job.kind.has_conversations and not plan.has_thread_objects and plan.threads:
        yield "metadata", "not exported: export with --include threads to carry that of the threads"


def _lost(losses: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {escape(word, 40)}" for word, number in sorted(losses.items())) or "nothing"


def print_push(job: PushJob, result: PushResult) -> None:
    """Print the summary of a push on standard output."""
    click.echo(f"{escape(job.name)}: {counted(result.pushed, 'thread')} pushed to {escape(job.address)}")
    others = "; others have some of theirs" if result.states.get(State.SENDING) else ""
    print_row(f"{job.kind.item}s", f"{result.items:,} in these {job.kind.thread}s{others}")
    print_rows(_left_out(job, result.left_out))
    print_row("this run", f"{counted(result.sent, job.kind.item)} sent, {counted(result.requests, 'request')}")
    if job.verify or result.verified:
        print_row("verified", f"{result.verified:,} of {result.pushed:,}")
    if result.continued:
        what = counted(result.continued, "conversation")
        print_row("continued", f"{what} since: the items of others behind those of the push are not compared")
    if result.map_path is not None:
        print_path("map", result.map_path)
    print_row("lost", _lost(result.losses))
    if result.losses and result.losses_path is not None:
        print_path("losses in", result.losses_path)
    if result.in_map_only:
        print_row("times", f"of {counted(result.in_map_only, 'conversation')} in the map only: metadata has no room")
    if result.leftovers:
        print_row("left over", _leftovers(result.leftovers))
    if replaced := result.replaced_now:
        what = counted(len(replaced), "conversation")
        names = names_of(iter(replaced), len(replaced))
        print_row("replaced", f"{what} of threads that were pushed anew: {names}")
    print_rows(row for row in _others(job, result.plan) if row[0] != "pushed before")


def _leftovers(threads: tuple[str, ...]) -> str:
    what = counted(len(threads), "empty conversation")
    of = names_of(iter(threads), len(threads))
    return f"{what} may be left over, where no answer confirmed or refused the creation: of {of}"


def push_as_json(job: PushJob, result: PushResult, *, dry_run: bool = False) -> dict[str, Any]:
    """Return the same for programs; what may be long as iterators."""
    plan = result.plan
    return {
        "out": job.name,
        "to": job.to,
        "address": job.address,
        "dry_run": dry_run,
        "exit": int(Exit.COMPLETE if dry_run else _exit_code(result)),
        "ended_by": None if result.ended_by is None else str(result.ended_by),
        "map": _name(result.map_path),
        "losses_file": _name(result.losses_path),
        "planned": {
            name: getattr(plan, name)
            for name in ("conversations", "items", "requests", "to_send", "files", "files_here")
        },
        "threads": plan.threads,
        "empty": plan.empty,
        "not_complete": plan.not_complete,
        "changed": plan.changed,
        "flat": plan.is_flat,
        "pushed": result.pushed,
        "items": result.items,
        "left_out": plan.left_out if dry_run else result.left_out,
        "sent": result.sent,
        "requests": result.requests,
        "verified": result.verified,
        "continued": result.continued,
        "times_in_map_only": result.in_map_only,
        "losses": dict(result.losses),
        "problem_count": result.problem_count,
        "awaiting_files": plan.awaiting if dry_run else result.awaiting,
        "leftovers": iter(result.leftovers),
        "replaced": iter(result.replaced),
        "problems": ({"thread_id": thread_id, "reason": reason} for thread_id, reason in result.problems),
    }


def _name(path: Path | None) -> str | None:
    return None if path is None else str(path)


def report_push_ending(
    job: PushJob,
    result: PushResult,
    printed: Problems | None = None,
    *,
    prefix: str = "--",
    downloads: bool = False,
) -> Exit:
    """Print on standard error why a push is not complete, if it is not, and what to do; returns the exit code.

    Args:
        job: the push.
        result: what came of it.
        printed: the problems that were printed already.
        prefix: of the options of the target.
        downloads: the command downloads files that the push needs.
    """
    done = f"{result.pushed:,} of {counted(result.plan.threads - result.plan.empty, 'thread')} pushed"
    if result.ended_by is not None:
        print_error(f"{result.ended_by} ({done})", _next_step(result.ended_by).replace("--", prefix))
    elif result.problem_count:
        print_error(f"{_problems(job, result)} ({done})", *_unprinted(result, printed), *_steps(job, result, downloads))
    elif result.plan.not_complete:
        what = counted(result.plan.not_complete, "thread")
        print_error(f"not pushed, since not complete: {what} of the export", command_on("status", job.name))
    return _exit_code(result)


def _problems(job: PushJob, result: PushResult) -> str:
    not_pushed = result.problem_count - result.unverified
    counts = ((not_pushed, "thread", "not pushed"), (result.unverified, job.kind.thread, "not verified"))
    return ", ".join(f"{counted(number, one)} {what}" for number, one, what in counts if number)


def _steps(job: PushJob, result: PushResult, downloads: bool) -> Iterator[str]:
    if result.problem_count > result.broken + result.awaiting:
        yield _AGAIN
    if result.broken:
        yield _NOT_REPAIRED.format("" if job.anew else " with --anew", job.kind.anew)
    if result.awaiting:
        yield from (_DOWNLOADS_TOO,) if downloads else _download(job, result.manifest)


def _download(job: PushJob, manifest: Manifest | None) -> Iterator[str]:
    """Yield what downloads files, with the command if there is one: of one address, and with one OUT."""
    if manifest is None or manifest.source == SEVERAL_SOURCES or job.export != job.out:
        yield _DOWNLOAD.format(".")
    else:
        yield _DOWNLOAD.format(":")
        yield export_again(manifest, job.name, "THREAD_IDS", files=True)


def _unprinted(result: PushResult, printed: Problems | None) -> Iterator[str]:
    problems, is_any = Problems(), False
    for thread_id, why in result.problems:
        if printed is None or not printed.knows(thread_id, why):
            is_any = True
            line = problems.take(thread_id, "failed", why)
            if line is not None:
                yield line
    yield from problems.rest()
    if is_any and (more := result.problem_count - len(result.problems)) > 0:
        yield f"… and {counted(more, 'more thread')}"


def _next_step(ended_by: ThreadkeepError) -> str:
    if isinstance(ended_by, Interrupted | ApiGone | ServerUnreachable):
        return _AGAIN
    return _ADDRESS if isinstance(ended_by, WrongAddress) else exit_for(ended_by)[1]


def _exit_code(result: PushResult) -> Exit:
    if result.ended_by is not None:
        return exit_for(result.ended_by)[0]
    return Exit.COMPLETE if result.is_complete else Exit.INCOMPLETE
