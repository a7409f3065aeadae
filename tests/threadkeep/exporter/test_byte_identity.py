"""The same world and the same list give the same bytes, whatever the concurrency and the interruptions."""

import contextlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canned import HTTP
from canned_threads import ThreadServer
from exporting import Ending, Export, cut_off_at_commit, threads_of
from threadkeep.errors import OutputUnusable

MANY = 10**6
THREADS = threads_of(a=250, b=0, c=1, d=101, e=100, f=3, g=12)
IDS = ["thread_d", "thread_none", *THREADS, "thread_f"]

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("cut"), st.integers(0, 12)),
        st.tuples(st.just("sunset"), st.integers(0, 12)),
        st.tuples(st.just("write"), st.just(0)),
    ),
    max_size=4,
)
"""What befalls the runs before the one that comes to its end."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """An export that nothing has disturbed."""
    return Export(tmp_path_factory.mktemp("undisturbed")).run_alone(IDS, ThreadServer(THREADS), concurrency=1)


@given(steps=STEPS, concurrency=st.sampled_from([1, 7, 64]), refresh=st.booleans())
def test_the_same_bytes_whatever_happens(
    steps: Sequence[tuple[str, int]],
    concurrency: int,
    refresh: bool,
    undisturbed: Export,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """OUT and its index are those of an export that nothing has disturbed, and nothing else is there."""
    export = Export(tmp_path_factory.mktemp("export"))
    for how, number in steps:
        if how == "write":
            if export.paths.store.exists() or export.paths.index.exists():
                export.write()
            continue
        server = Ending(THREADS, lambda: HTTP.Response(410), number if how == "sunset" else MANY)
        # Where the plan itself is cut off, that is raised.
        with cut_off_at_commit(number if how == "cut" else MANY), contextlib.suppress(OutputUnusable):
            export.run_alone(IDS, server, concurrency=concurrency)
    export.run_alone(IDS, ThreadServer(THREADS), concurrency=concurrency, refresh=refresh)
    assert export.contents().keys() == undisturbed.contents().keys()
    assert export.paths.out.read_bytes() == undisturbed.paths.out.read_bytes()
    assert export.paths.index.read_bytes() == undisturbed.paths.index.read_bytes()
    assert export.result.manifest is not None
    assert undisturbed.result.manifest is not None
    assert export.result.manifest.digest == undisturbed.result.manifest.digest


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("number", range(1, 11))
def test_no_more_pages_are_asked_for_again_than_were_on_their_way(
    number: int, concurrency: int, tmp_path: Path
) -> None:
    """Wherever a run is cut off: what was committed costs no request."""
    export, first, second = Export(tmp_path), ThreadServer(THREADS), ThreadServer(THREADS)
    with cut_off_at_commit(number):
        export.run_alone(IDS, first, concurrency=concurrency)
    export.run_alone(IDS, second, concurrency=concurrency)
    assert export.ended_by is None
    again = Counter({*first.asked}) & Counter({*second.asked})  # an empty page is asked for twice
    assert again.total() <= concurrency + sum("thread_none" in url for url in again)


def test_the_order_is_that_in_which_ids_were_first_wanted(tmp_path: Path) -> None:
    """A thread that is completed later takes its place between the others."""
    export, world = Export(tmp_path), ThreadServer(THREADS)
    export.run_alone(["thread_c", "thread_d", "thread_f"], ThreadServer({"thread_f": THREADS["thread_f"]}))
    export.run_alone(["thread_g", "thread_d", "thread_a"], world)
    export.run_alone(["thread_a", "thread_c"], world)
    assert list(export.rows) == ["thread_c", "thread_d", "thread_f", "thread_g", "thread_a"]
    assert list(export.messages()) == list(export.rows)
