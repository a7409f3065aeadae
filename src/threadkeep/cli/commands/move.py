"""``threadkeep move``: export, validate and push with verification, in one command that can be repeated."""

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from threadkeep.api.client import PacingOptions
from threadkeep.api.endpoints import ApiSource, auth_and_keys, is_foundry, models_endpoint_of
from threadkeep.cli.arguments import OUT
from threadkeep.cli.commands.export import run_job
from threadkeep.cli.commands.push import run_push
from threadkeep.cli.console import ignore_broken_pipe, print_error, print_json
from threadkeep.cli.exit_codes import Exit
from threadkeep.cli.export_options import ExportOptions, export_arguments, export_options
from threadkeep.cli.export_summary import print_result, report_ending, result_as_json
from threadkeep.cli.option_groups import PACE, command
from threadkeep.cli.push_options import PushOptions, kind_option, push_options, user_identity_option
from threadkeep.cli.push_summary import print_push, push_as_json, report_push_ending
from threadkeep.cli.shared_options import (
    json_option,
    number_option,
    quiet_option,
    verbose_option,
)
from threadkeep.cli.source_options import TARGET, OptionalSource, source_options, target_options
from threadkeep.cli.suggestions import Next, command_on, next_step
from threadkeep.cli.validation_summary import as_json as report_as_json
from threadkeep.cli.validation_summary import next_lines, print_verdict
from threadkeep.errors import AccessRefused, ApiGone, OtherExport
from threadkeep.exporter.job import Job
from threadkeep.migration.job import PushJob
from threadkeep.migration.preparation import refuse_unusable
from threadkeep.storage.index import Outcome
from threadkeep.validation.entrypoints import validated
from threadkeep.validation.findings import Severity
from threadkeep.validation.line_check import OTHER_ASSISTANTS

__all__ = ["move"]

# Findings about what is not there. It harms nothing that is: the threads that are complete can be pushed.
_ABSENT = ("thread_failed", "thread_partial", "thread_unfinished", "thread_missing", "not_exported", "file_failed")


@command("Export, validate and push, in one command.")
@export_arguments(OUT, "The NDJSON file to write, such as out.ndjson.")
@export_options
@number_option(PACE, "--to-rpm", "Send the target at most N requests a minute with each key.", "no limit of its own")
@source_options
@target_options
@kind_option("--to-target")
@user_identity_option("--to-user-identity")
@push_options
@verbose_option
@quiet_option
@json_option
def move(
    thread_ids: str,
    assistant_id: str,
    out: Path,
    source: ApiSource,
    target: OptionalSource,
    kind: Any,
    user_identity: str | None,
    to_rpm: int | None,
    exporting: ExportOptions,
    pushing: PushOptions,
    verbose: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Export the threads listed in the file THREAD_IDS to OUT, validate OUT, and push it to another API with --verify.

    The arguments are those of `threadkeep export`, and the options that begin with --to- are those of `threadkeep push`
    for the target. At the source's own scheme, host and port, the target is asked with the source's key or token,
    unless it has one of its own.

    Nothing is changed at the source. The same command resumes the move: nothing is fetched or sent twice.
    """
    exporting.refuse_impossible(thread_ids, assistant_id, out)
    to = target.second_to(source)
    push_job = pushing.job(
        out,
        "conversations",
        to,
        kind,
        user_identity=user_identity,
        verify=True,
        concurrency=exporting.concurrency,
        pace=PacingOptions(rpm=to_rpm, max_retries=exporting.max_retries),
    )
    # The export may take hours: what stops the push is better known before.
    _refuse_without_key(to, push_job)
    choices = refuse_unusable(push_job)
    files = exporting.files or choices.need_files
    job = exporting.job(exporting.ids(thread_ids), assistant_id, out, include=("threads",), files=files)
    sunset, is_silent = exporting.sunset_of(source), quiet or as_json
    moving = _Move(job, source, sunset, push_job, to, user_identity, verbose, is_silent=is_silent)
    try:
        return moving.run()
    finally:
        if as_json and moving.summaries["export"] is not None:
            with ignore_broken_pipe():
                print_json(moving.summaries)


def _refuse_without_key(target: ApiSource, job: PushJob) -> None:
    """Raise AccessRefused if nothing says with what to ask the target."""
    try:
        if target.token_command is None:
            auth_and_keys(target, models_endpoint_of(target, os.environ).provider, os.environ)
    except AccessRefused as error:
        raise AccessRefused(f"the target, {job.address}: {str(error).replace('--', TARGET)}") from None


@attrs.define
class _Move:
    """A move, part by part.

    Attributes:
        is_silent: no progress and no summary is printed.
        summaries: for programs, of the parts that are through; None of the others.
    """

    _job: Job
    _source: ApiSource
    _sunset: datetime | None
    _push_job: PushJob
    _target: ApiSource
    _user_identity: str | None
    _verbose: bool
    is_silent: bool
    _printed: tuple[str, ...] = attrs.field(default=_ABSENT, init=False)  # codes of what the export has printed
    summaries: dict[str, Any] = attrs.field(factory=lambda: dict.fromkeys(("export", "validate", "push")), init=False)

    def run(self) -> Exit:
        """Do all parts, as far as it makes sense, and return the exit code: the gravest."""
        try:
            exported, is_over = self._export()
        except OtherExport as error:
            self._suggest_push(f"{error}. Use the same, or choose another OUT. This pushes OUT as it is:")
            return Exit.OUTPUT
        if is_over:
            return exported
        proven, is_damaged = self._validate()
        return proven if is_damaged else self._push() or exported or proven

    def _export(self) -> tuple[Exit, bool]:
        """Return also whether nothing else is to be done, since it has ended before its time."""
        result = run_job(
            self._job,
            self._source,
            show_progress=not self.is_silent,
            sunset=self._sunset,
            verbose=self._verbose,
            is_last=False,
        )
        # What is next after a complete export is the next part.
        step = Next(()) if result.is_complete else next_step(result, None, fresh=False, files=self._job.files)
        self.summaries["export"] = result_as_json(result, step)
        self._printed += (OTHER_ASSISTANTS,) if result.other_assistants else ()
        self._print(lambda: print_result(result, step))
        code = report_ending(result, step)
        if isinstance(result.ended_by, ApiGone) and result.outcomes[Outcome.COMPLETE]:
            self._suggest_push("nothing was pushed. This pushes the threads that are complete:")
        return code, result.ended_by is not None

    def _validate(self) -> tuple[Exit, bool]:
        """Return also whether something is damaged, and not only missing."""
        found = validated(self._job.paths.out)
        report = found.report
        is_damaged = any(one.severity is not Severity.NOTE and one.code not in _ABSENT for one in report)
        steps = [*next_lines(report, found.manifest, None, None)] if is_damaged else []
        self.summaries["validate"] = report_as_json(report)
        self._print(lambda: print_verdict(report, steps, printed=self._printed))
        if is_damaged:
            print_error("the export is damaged: nothing was pushed", command_on("validate", report.out))
        return Exit.COMPLETE if report.is_complete else Exit.INCOMPLETE, is_damaged

    def _push(self) -> Exit:
        job = self._push_job
        result, printed = run_push(
            job, self._target, self._user_identity, shown=not self.is_silent, verbose=self._verbose
        )
        self.summaries["push"] = push_as_json(job, result)
        self._print(lambda: print_push(job, result))
        return report_push_ending(job, result, printed, prefix=TARGET, downloads=self._job.files)

    def _print(self, summary: Callable[[], None]) -> None:
        if not self.is_silent:
            with ignore_broken_pipe():
                summary()

    def _suggest_push(self, what: str) -> None:
        job = self._push_job
        options = ["--to=conversations", f"--base-url={job.address}", "--verify"]
        options += ["--target=foundry"] if job.is_foundry and not is_foundry(job.address) else []
        options += [] if job.map is None else [f"--map={job.map}"]
        print_error(what, command_on("push", job.out, *options))
