"""A push to Engramia stores each pattern once, whatever is lost on the way, and a verification finds what is wrong."""

import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from engramia_pushes import Pushes, learn, put_pairs, server
from engramia_server import Fault, planned

LEARN, EXPORT = "/v1/learn", "/v1/governance/export"

TEXTS = st.tuples(st.sampled_from(["hello", "why?", "what?"]), st.sampled_from(["hi", "ho"]))
THREADS = st.lists(st.lists(TEXTS, max_size=4), max_size=4).map(
    lambda rows: {f"thread_{number}": row for number, row in enumerate(rows)}
)
FAULTS = st.dictionaries(
    st.tuples(st.sampled_from([LEARN, EXPORT]), st.integers(1, 12)), st.sampled_from(Fault), max_size=12
)


@given(threads=THREADS, before=st.lists(TEXTS, max_size=3), plan=FAULTS, keeps_runs=st.booleans())
def test_each_pattern_is_stored_once(
    threads: dict[str, list[tuple[str, str]]],
    before: list[tuple[str, str]],
    plan: dict[tuple[str, int], Fault],
    keeps_runs: bool,
) -> None:
    """As often as it occurs, in addition to the patterns that were there. Then nothing is sent any more."""
    pairs = [pair for row in threads.values() for pair in row]
    engramia = server(keeps_runs=keeps_runs)
    learn(engramia, before)
    engramia.faults = planned(plan)
    with tempfile.TemporaryDirectory() as folder:
        pushes = Pushes(put_pairs(Path(folder) / "out.ndjson", threads), engramia)
        result = pushes.run()
        assert (result.is_complete, result.problems) == (True, ())
        assert result.items == len(pairs)
        assert Counter(engramia.stored()) == Counter(pairs) + Counter(before)
        repeats = Counter(path for path, nth in plan if nth <= engramia.requests[path])
        assert engramia.requests[LEARN] <= len(pairs) + repeats[LEARN]
        assert engramia.requests[EXPORT] <= bool(pairs) + repeats.total()
        engramia.faults = planned({})
        engramia.requests.clear()
        again = pushes.run(verify=True)
    assert (again.is_complete, again.sent, again.verified) == (True, 0, result.pushed)
    assert engramia.requests == ({EXPORT: 1} if pairs else {})
