"""Exports of a few small threads on a simulated disk: written, damaged, and read back."""

import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path

from simulated_disk import SimulatedDisk
from threadkeep.healing import Asked
from threadkeep.journal import Entry, Header, Journal, Outcome, fold
from threadkeep.outfiles import Finished, OutFiles
from threadkeep.records.ndjson import encode_message
from threadkeep.serialization.lossless_json import dumps
from threadkeep.spool import Spool
from threadkeep.storage.manifest import Ending, Manifest, build, read
from threadkeep.storage.paths import Paths
from threadkeep.validation.export_check import Audit, Evidence
from threadkeep.validation.findings import Finding, Severity
from threadkeep.wanted import read as read_wanted

__all__ = [
    "HEADER",
    "PATHS",
    "World",
    "begin",
    "commit",
    "contents",
    "faults",
    "faults_on",
    "finish",
    "journal",
    "lines_by_thread",
    "lines_of",
]

PATHS = Paths(Path("/nowhere/out.ndjson"))
HEADER = Header(
    source="http://here/v1", assistant_id="asst_a", flat=False, started_at="then", include=("runs",), files=True
)

World = Mapping[str, tuple[int, int]]
"""How many messages each thread has, and how often it was changed."""


def lines_of(thread_id: str, messages: int, version: int) -> list[bytes]:
    """A thread's lines, newlines included."""
    rows = [
        {
            "id": f"msg_{thread_id}_{number}",
            "thread_id": thread_id,
            "role": "user",
            "created_at": version,
            "content": [],
        }
        for number in range(messages)
    ]
    return [encode_message(row, assistant_id="asst_a", flat=False) + b"\n" for row in rows]


def _spool(files: ExitStack, lines: Iterable[bytes], name: str) -> Spool:
    made = files.enter_context(closing(Spool(PATHS.out.parent)))
    lines = list(lines)
    made.add([json.loads(line)[name] for line in lines], [line.removesuffix(b"\n") for line in lines])
    return made


def commit(out: OutFiles, world: World) -> None:
    """Write whole threads, each with a run that says which version it is of, in one batch."""
    with ExitStack() as files:
        batch = []
        for thread_id, (messages, version) in world.items():
            lines = _spool(files, lines_of(thread_id, messages, version), "message_id")
            run = {"thread_id": thread_id, "run_id": "run_1", "run": version}
            runs = _spool(files, [dumps(run)], "run_id")
            entry = Entry(
                thread_id=thread_id,
                outcome=Outcome.COMPLETE,
                messages=messages,
                first_id=lines.first_id,
                last_id=lines.last_id,
            )
            batch.append(Finished(entry=entry, lines=lines, beside={"runs": runs}))
        out.commit(batch)


def begin(disk: SimulatedDisk, ids: Iterable[str] = (), *, refresh: bool = False) -> OutFiles:
    """Begin an export, or go on with the one that stands there, asked for these threads."""
    return OutFiles.begin(PATHS, HEADER, disk=disk, asked=Asked(frozenset(ids), refresh))


def finish(out: OutFiles) -> None:
    """End a run as a job does."""
    out.compact()
    out.finish(build(out.header, out.journal, Ending(finished_at="now", listed=[], ended_by=None), {}))
    out.__exit__(None, None, None)


def contents(disk: SimulatedDisk) -> dict[Path, bytes]:
    """What stands in each file of the export."""
    return {path: content for path in PATHS.all if (content := disk.content(path)) is not None}


def journal(disk: SimulatedDisk) -> Journal:
    """What the journal says."""
    return fold(disk.content(PATHS.journal) or b"")


def faults(content: bytes, journal: Journal, manifest: Manifest | None = None) -> set[str]:
    """What validate finds wrong with an export, by its codes; notes are left out."""
    return {one.code for one in _worse(content, Evidence(journal=journal, manifest=manifest))}


def faults_on(disk: SimulatedDisk) -> set[str]:
    """The same of the export on a disk, with its manifest."""
    return {one.code for one in _worse_on(disk)}


def missed_on(disk: SimulatedDisk) -> set[str | None]:
    """The threads with which validate finds something wrong."""
    return {one.thread_id for one in _worse_on(disk)}


def _worse_on(disk: SimulatedDisk) -> list[Finding]:
    manifest, wanted = disk.content(PATHS.manifest), disk.content(PATHS.wanted)
    vouchers = Evidence(
        journal=journal(disk),
        manifest=None if manifest is None else read(manifest),
        wanted=() if wanted is None else read_wanted(wanted),
    )
    return _worse(disk.content(PATHS.out) or b"", vouchers)


def _worse(content: bytes, vouchers: Evidence) -> list[Finding]:
    audit = Audit(Paths(Path("out.ndjson")), vouchers, now=2**31)
    found = audit.findings(lambda: content.splitlines(keepends=True))
    return [one for one in found if one.severity is not Severity.NOTE]


def lines_by_thread(content: bytes | None) -> dict[str, list[bytes]]:
    """The lines of a file, by thread, in their order."""
    found: dict[str, list[bytes]] = {}
    for line in (content or b"").split(b"\n")[:-1]:
        found.setdefault(json.loads(line)["thread_id"], []).append(line + b"\n")
    return found
