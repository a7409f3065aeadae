"""``threadkeep merge``: many exports as one."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import msgspec

from threadkeep.cli.arguments import OUT, OUT_OR_PREFIX, open_ids, refuse_column_without_list
from threadkeep.cli.console import counted, ignore_broken_pipe, print_error, print_json
from threadkeep.cli.exit_codes import Exit
from threadkeep.cli.export_summary import print_manifest
from threadkeep.cli.option_groups import argument, command
from threadkeep.cli.shared_options import column_option, force_option, ids_option, json_option, output_option
from threadkeep.cli.suggestions import command_on, list_options
from threadkeep.scale.collect import merge_parts, prefix_at
from threadkeep.serialization.thread_ids import ListedId, is_thread_id
from threadkeep.storage.not_exports import refuse_no_export
from threadkeep.storage.paths import Paths

__all__ = ["merge"]


@command("Write many exports as one.")
@argument("parts", "The exports to merge.", type=OUT_OR_PREFIX, nargs=-1, required=True)
@ids_option
@column_option
@output_option("out", OUT, "OUT", required=True)
@force_option
@json_option
def merge(
    parts: tuple[Path | str, ...], out: Path, ids: str | None, column: str | None, force: bool, as_json: bool
) -> int:
    """Write the exports PARTS as one, OUT, with its index and manifest. PARTS stay as they are.

    A part is an export, or what `threadkeep export --dask` has written: a folder, or a URL such as s3://bucket/prefix.

    Every line is checked. A thread that several parts have is in OUT once: as the part has it that was finished last,
    with what only the others still have of it. With --ids, the threads come in the order of that list.
    """
    refuse_column_without_list(ids, column)
    paths, invalid = Paths(out), list[int]()
    if ids is not None and ids != "-" and Path(ids).resolve() in {path.resolve() for path in paths.all_files()}:
        raise click.UsageError(f"OUT would take the place of the file of ids, {ids}.")
    wanted = None if ids is None else _valid(open_ids(ids, column).refuse_empty(), invalid)
    places = [prefix_at(part) or Paths(Path(part)) for part in parts]
    for place in places:
        if isinstance(place, Paths):
            refuse_no_export(place.out)
    manifest = merge_parts(places, paths, wanted, force=force)
    if invalid:  # the text of the line may be a secret that was pasted by mistake
        print_error(f"{counted(len(invalid), 'line')} of the list, the first is line {invalid[0]}: no thread ids")
    validate = command_on("validate", out, *list_options(None if ids == "-" else ids, column))
    with ignore_broken_pipe():
        if as_json:
            print_json({"out": str(out), **msgspec.to_builtins(manifest)})
        else:
            print_manifest(paths, manifest)
            if manifest.is_complete:
                click.echo(f"Next: {validate}")
    if manifest.is_complete:
        return Exit.INCOMPLETE if invalid else Exit.COMPLETE
    print_error(
        f"the export is not complete{'' if manifest.ended_by is None else f': {manifest.ended_by}'}",
        "Resume the exports that are not complete, and merge again. This checks what is there:",
        validate,
    )
    return Exit.INCOMPLETE


def _valid(entries: Iterable[ListedId], invalid: list[int]) -> Iterator[str]:
    for place, text, _ in entries:
        if is_thread_id(text):
            yield text
        else:
            invalid.append(place)
