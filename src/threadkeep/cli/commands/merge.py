"""``threadkeep merge``: many exports as one."""

import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from threadkeep.cli.arguments import OUT, OUT_OR_PREFIX, stream_ids
from threadkeep.cli.console import ignore_broken_pipe, print_error, print_json
from threadkeep.cli.exit_codes import Exit
from threadkeep.cli.export_summary import print_manifest
from threadkeep.cli.suggestions import command_on
from threadkeep.scale.collect import collect, is_prefix
from threadkeep.scale.object_store import open_store
from threadkeep.storage.join import join_exports
from threadkeep.storage.manifest import Manifest
from threadkeep.storage.paths import Paths
from threadkeep.storage.private_files import on_disk

__all__ = ["merge"]


@click.command(short_help="Write many exports as one.")
@click.argument("parts", type=OUT_OR_PREFIX, nargs=-1, required=True)
@click.option("-o", "--output", "out", type=OUT, metavar="OUT", required=True, help="Write the export to OUT.")
@click.option("--ids", metavar="FILE", help='Put the threads in the order of the ids in FILE; "-" is standard input.')
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
@click.option("--json", "is_json", is_flag=True, help="Print the manifest of OUT as one JSON object.")
def merge(parts: tuple[Path | str, ...], out: Path, ids: str | None, force: bool, is_json: bool) -> int:
    """Write the exports PARTS as one, OUT, with its index and manifest. PARTS stay as they are.

    A part is an export, or what `threadkeep export --dask` has written: a folder, or a URL such as s3://bucket/prefix.

    Every line is checked. A thread that several parts have is in OUT once: as the part has it that was finished last,
    with what only the others still have of it.
    """
    manifest = _merged(parts, Paths(out), ids, force=force)
    with ignore_broken_pipe():
        if is_json:
            print_json({"out": str(out), **msgspec.to_builtins(manifest)})
        else:
            print_manifest(Paths(out), manifest)
            if manifest.is_complete:
                click.echo(f"Next: {command_on('validate', out)}")
    if manifest.is_complete:
        return Exit.COMPLETE
    print_error(
        "the export is not complete: " + (manifest.ended_by or "some threads or files are not"),
        "Resume the exports that are not complete, and merge again. This checks it:",
        command_on("validate", out),
    )
    return Exit.INCOMPLETE


def _merged(parts: Sequence[Path | str], out: Paths, ids: str | None, *, force: bool) -> Manifest:
    is_shards = [isinstance(part, str) or is_prefix(part) for part in parts]
    if is_shards == [True] and ids is None:
        return collect(open_store(parts[0]), out, force=force)
    with contextlib.ExitStack() as opened, on_disk(out.out.parent):
        exports = []
        for part, is_one_of_shards in zip(parts, is_shards, strict=True):
            if is_one_of_shards:
                folder = opened.enter_context(tempfile.TemporaryDirectory(dir=out.out.parent, prefix=".threadkeep-"))
                exports.append(Paths(Path(folder) / "out.ndjson"))
                collect(open_store(part), exports[-1])
            else:
                exports.append(Paths(Path(part)))
        wanted = () if ids is None else (text for _, text in stream_ids(ids))
        return join_exports(exports, out, wanted, force=force)
