"""``threadkeep validate``: is the export whole?"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import attrs
import click

from threadkeep.cli.exits import Exit
from threadkeep.cli.inputs import OUT, load_ids
from threadkeep.cli.words import print_json, shown
from threadkeep.disk import on_disk
from threadkeep.errors import OutputUnusable
from threadkeep.findings import Finding, is_whole
from threadkeep.paths import Paths
from threadkeep.readback import read_journal, read_manifest, read_partial
from threadkeep.surroundings import damage
from threadkeep.validate import Vouchers
from threadkeep.validate import validate as check

__all__ = ["findings_of", "print_findings", "validate"]


@click.command()
@click.argument("out", type=OUT)
@click.option("--ids", help='The file of thread ids that were wanted; "-" is standard input.')
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with the findings.")
def validate(out: Path, ids: str | None, as_json: bool) -> int:
    """Check OUT against itself, its journal and manifest, and the ids that were wanted."""
    findings = findings_of(out, ids=load_ids(ids).listed if ids is not None else None)
    if as_json:
        print_json(
            {
                "out": str(out),
                "whole": is_whole(findings),
                "findings": [attrs.asdict(row) for row in findings],
            }
        )
    else:
        print_findings(out, findings)
    return Exit.WHOLE if is_whole(findings) else Exit.INCOMPLETE


def findings_of(out: Path, *, ids: tuple[str, ...] | None = None) -> list[Finding]:
    """Validate the files of an export.

    Raises:
        OutputUnusable: the export cannot be read.
    """
    paths = Paths(out)
    vouchers = Vouchers(journal=read_journal(paths), partial=read_partial(paths), ids=ids)
    try:
        vouchers = attrs.evolve(vouchers, manifest=read_manifest(paths))
    except OutputUnusable as error:
        vouchers = attrs.evolve(vouchers, manifest_fault=str(error))
    with on_disk(out):
        with out.open("rb") as lines:
            findings = list(check(lines, vouchers))
        return [*findings, *(damage(paths, vouchers.journal) if vouchers.journal is not None else ())]


def print_findings(out: Path, findings: Iterable[Finding]) -> None:
    """Print one line a finding, and the verdict."""
    findings = list(findings)
    for finding in findings:
        click.echo(_words(finding))
    counts = Counter(finding.severity for finding in findings)
    counted = ", ".join(f"{count} {severity}{'s' if count > 1 else ''}" for severity, count in counts.items())
    verdict = "whole" if is_whole(findings) else "not whole"
    click.echo(f"{shown(str(out))}: {verdict}" + (f" ({counted})" if counted else ""))


def _words(finding: Finding) -> str:
    places = [
        f"line {finding.line}" if finding.line is not None else None,
        finding.path,
        shown(finding.thread_id, 80) if finding.thread_id is not None else None,
        shown(finding.message_id, 80) if finding.message_id is not None else None,
    ]
    where = " ".join(place for place in places if place is not None)
    return f"{finding.severity}: {finding.code}: {shown(finding.message)}" + (f" [{where}]" if where else "")
