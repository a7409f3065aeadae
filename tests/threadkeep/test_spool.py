"""Lines on their way, on a disk that is full."""

from collections.abc import Callable
from pathlib import Path

import pytest

import threadkeep.spool as spools
from full_disk import full_disk
from threadkeep.errors import OutputUnusable
from threadkeep.spool import Bodies, Spool

ROOM = 4096


def with_lines(folder: Path) -> Spool:
    """Lines of which the end does not fit, and is still in memory."""
    spool = Spool(folder)
    spool.add(["msg_1"], [b"x" * (ROOM - 100)])
    spool.add(["msg_2"], [b"y" * 200])
    return spool


def with_bodies(folder: Path) -> Bodies:
    """The same with pages as they came."""
    bodies = Bodies(folder)
    bodies.add(b"x" * (ROOM - 100))
    bodies.add(b"y" * 200)
    return bodies


@pytest.fixture(autouse=True)
def on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every thread is one of those that are too large for the memory."""
    monkeypatch.setattr(spools, "_SPOOL_BYTES", 1)


@pytest.mark.parametrize("made", [with_lines, with_bodies])
def test_what_is_thrown_away_may_be_so_on_a_full_disk(made: Callable[[Path], Spool | Bodies], tmp_path: Path) -> None:
    """Its last bytes are still to be written: nobody wants them, and nothing is raised over the first problem."""
    with full_disk(ROOM):
        made(tmp_path).close()
    assert not list(tmp_path.iterdir())


def test_what_is_wanted_is_told(tmp_path: Path) -> None:
    """Reading writes the last bytes first."""
    with full_disk(ROOM):
        bodies = with_bodies(tmp_path)
        with pytest.raises(OutputUnusable, match="the pages of a thread: File too large"):
            list(bodies.each())
        bodies.close()


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    """As soon as it reaches the disk."""
    with full_disk(ROOM):
        spool = Spool(tmp_path)
        with pytest.raises(OutputUnusable, match="the pages of a thread: File too large"):
            spool.add(["msg_1"], [b"x" * 100 * ROOM])
        spool.close()
