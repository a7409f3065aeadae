"""``threadkeep demo``: the main job from end to end, without a key and without a network."""

import importlib
import tempfile
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

import click

from threadkeep.api.endpoints import ApiSource
from threadkeep.api.keys import Key
from threadkeep.cli.commands.export import run_job
from threadkeep.cli.console import escape, print_rows
from threadkeep.cli.exit_codes import Exit
from threadkeep.cli.export_summary import print_result, report_ending
from threadkeep.cli.option_groups import OUTPUT, command, option
from threadkeep.cli.suggestions import Next, next_step
from threadkeep.cli.validation_summary import print_verdict
from threadkeep.exporter.job import ExportResult, Job
from threadkeep.serialization.lossless_json import loads
from threadkeep.serialization.thread_ids import ListedId
from threadkeep.storage.index import AUTO
from threadkeep.storage.paths import Paths
from threadkeep.storage.private_files import on_disk
from threadkeep.storage.session import ThreadList
from threadkeep.validation.entrypoints import validated
from threadkeep.validation.line_check import OTHER_ASSISTANTS

__all__ = ["demo"]

_THREADS = 40


@command("Export and validate made-up threads on this machine.")
@option(
    OUTPUT,
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    show_default="a new temporary one",
    help="Put the files into FOLDER.",
)
def demo(folder: Path | None) -> int:
    """Export made-up threads from a fake Assistants API on this machine, and validate the export."""
    try:
        fake_assistants: Any = importlib.import_module("fake_assistants")
    except ImportError:
        raise click.UsageError(
            "the demo needs the package fake-assistants, which is not installed. In a copy of the repository:"
            " pip install ./fakeserver"
        ) from None
    folder = folder or Path(tempfile.mkdtemp(prefix="threadkeep-demo-"))
    with on_disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise click.UsageError(f"{folder} is not empty: the demo would replace files in it. Name another folder.")
    world, fake = fake_assistants.demo_world(_THREADS, None), fake_assistants.FakeAssistants()
    ids = tuple(thread["id"] for thread in world["threads"])
    (folder / "thread_ids.txt").write_text("".join(f"{thread_id}\n" for thread_id in ids))
    fake.load(world)
    with fake.serve() as server:
        click.echo(f"a fake Assistants API with {len(ids)} threads is listening on {server.base_url}")
        job = Job(
            wanted=ThreadList(ids=map(ListedId, count(1), ids)),
            paths=Paths(folder / "out.ndjson"),
            assistant_id=AUTO,
            fresh=True,
        )
        result = run_job(job, ApiSource(base_url=server.base_url, keys=(Key("sk-demo"),)), show_progress=True)
    return _report(folder, ids, result)


def _report(folder: Path, ids: tuple[str, ...], result: ExportResult) -> int:
    step = next_step(result, str(folder / "thread_ids.txt"), fresh=True, files=True)
    print_result(result, Next(()))  # the demo itself does what is next
    if result.ended_by is not None:
        return report_ending(result, step)
    report = validated(result.paths.out, ids=ids).report
    with result.paths.out.open("rb") as lines:
        kinds = Counter(part["type"] for line in lines for part in loads(line)["message"]["content"])
    click.echo("content parts in the export")
    print_rows((kind, f"{count:,}") for kind, count in sorted(kinds.items()))
    print_verdict(report, (), printed=(OTHER_ASSISTANTS,))
    names = ", ".join(sorted(path.name for path in folder.iterdir()))
    click.echo(f"the files are in {escape(str(folder))}: {names}")
    return Exit.COMPLETE if result.is_complete and report.is_complete else Exit.INCOMPLETE
