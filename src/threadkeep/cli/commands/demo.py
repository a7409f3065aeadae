"""``threadkeep demo``: the main job from end to end, without a key and without a network."""

import importlib
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from threadkeep.api.endpoints import ApiSource
from threadkeep.api.keys import Key
from threadkeep.cli.exit_codes import Exit
from threadkeep.cli.export_summary import print_summary
from threadkeep.cli.file_arguments import load_ids
from threadkeep.cli.run_export import report_ending, run_job, summary_of
from threadkeep.cli.validation_summary import print_verdict
from threadkeep.disk import on_disk
from threadkeep.exporter.engine import Options
from threadkeep.exporter.job import Job, Result
from threadkeep.records.model import ImageFilePart, ImageUrlPart, Part, RefusalPart, TextPart, UnknownPart
from threadkeep.records.ndjson import decode
from threadkeep.storage.paths import Paths
from threadkeep.validation.entrypoints import validated

__all__ = ["demo"]

_THREADS, _MESSAGES = 40, 120


@click.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the files go; a new folder for temporary files by default.",
)
def demo(folder: Path | None) -> int:
    """Export a made-up world from a fake Assistants API on this machine, and validate the export."""
    fake_assistants = _fake_assistants()
    folder = _made(folder)
    world = fake_assistants.demo_world(_THREADS, _MESSAGES)
    return _tell(folder, _exported(folder, world, fake_assistants.FakeAssistants()))


def _made(folder: Path | None) -> Path:
    folder = folder or Path(tempfile.mkdtemp(prefix="threadkeep-demo-"))
    with on_disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _exported(folder: Path, world: Any, fake: Any) -> Result:
    ids = tuple(thread["id"] for thread in world["threads"])
    (folder / "thread_ids.txt").write_text("".join(f"{thread_id}\n" for thread_id in ids))
    fake.load(world)
    with fake.serve() as server:
        click.echo(f"a fake Assistants API with {len(ids)} threads is listening on {server.base_url}")
        job = Job(
            ids=ids,
            paths=Paths(folder / "out.ndjson"),
            options=Options(assistant_id=world["assistants"][0]["id"]),
            fresh=True,
        )
        return run_job(job, ApiSource(base_url=server.base_url, keys=(Key("sk-demo"),)), show_progress=True)


def _tell(folder: Path, result: Result) -> int:
    out = result.paths.out
    report = validated(out, ids=load_ids(str(folder / "thread_ids.txt")).listed).report
    print_summary(summary_of(result))
    _print_parts(out)
    print_verdict(report, (), most=5)
    click.echo(f"the files are in {folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    return report_ending(result) or (Exit.WHOLE if report.is_whole else Exit.INCOMPLETE)


def _fake_assistants() -> Any:
    try:
        return importlib.import_module("fake_assistants")
    except ImportError:
        raise click.UsageError(
            "the demo needs the package fake-assistants, which is not installed. In a copy of the repository:"
            " pip install ./fakeserver"
        ) from None


_KINDS = {TextPart: "text", ImageFilePart: "image_file", ImageUrlPart: "image_url", RefusalPart: "refusal"}


def _kind(part: Part) -> str:
    return f"{part.type} (unknown)" if isinstance(part, UnknownPart) else _KINDS[type(part)]


def _print_parts(out: Path) -> None:
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    with out.open("rb") as lines:
        parts = Counter(_kind(part) for line in lines for part in decode(line).parts)
    for kind, count in sorted(parts.items()):
        table.add_row(kind, f"{count:,}")
    click.echo("content parts in the export")
    Console().print(table)
