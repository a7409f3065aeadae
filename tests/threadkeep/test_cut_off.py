"""A refresh that a power cut ends at any change of the disk, as validate and status see it: nothing is lost."""

import contextlib
from itertools import count
from pathlib import Path

from drawn_exports import PATHS, begin, commit, contents, finish
from simulated_disk import PowerCut, SimulatedDisk
from threadkeep.readback import read_journal
from threadkeep.sizes import in_place, sizes
from threadkeep.storage.paths import Paths
from threadkeep.validation.entrypoints import validate
from threadkeep.validation.findings import Severity

OLD = {"thread_a": (2, 0), "thread_b": (0, 0), "thread_c": (3, 0)}
NEW = {"thread_a": (4, 1), "thread_b": (1, 1)}


def refreshed(left: int) -> tuple[SimulatedDisk, bool]:
    """An export on a disk whose power is cut after so many changes of a refresh; and whether it has come to its end."""
    disk = SimulatedDisk()
    out = begin(disk, OLD)
    commit(out, OLD)
    finish(out)
    disk.left, is_whole = left, False
    with contextlib.suppress(PowerCut):
        out = begin(disk, NEW, refresh=True)
        commit(out, NEW)
        finish(out)
        is_whole = True
    disk.kill()
    return disk, is_whole


def test_wherever_it_is_cut_off_all_that_was_exported_is_seen(tmp_path: Path) -> None:
    """Between the renames too: from its marker on, what was written anew counts, wherever it stands."""
    seen = set[int]()
    for changes in count():
        disk, is_whole = refreshed(changes)
        paths = Paths(tmp_path / str(changes) / PATHS.out.name)
        paths.out.parent.mkdir()
        for path, content in contents(disk).items():
            paths.out.with_name(path.name).write_bytes(content)
        report, journal = validate(paths.out), read_journal(paths)
        assert [row for row in report if row.severity is Severity.ERROR] == []
        assert report.is_whole is disk.exists(PATHS.manifest)
        assert journal is not None
        assert {one.thread_id for one in in_place(paths, journal, sizes(paths, journal))} == OLD.keys()
        seen.add(report.totals.messages)
        if is_whole:
            break
    assert seen == {5, 8}
