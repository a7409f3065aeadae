"""benchmarks/simulate.py: what holds for every model, and what the command prints."""

import importlib
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture(scope="module")
def simulation() -> Any:
    """The module, which is in no package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        return importlib.import_module("simulate")


@given(
    lengths=st.lists(st.integers(0, 450), min_size=1, max_size=80),
    rpm=st.floats(60, 10_000),
    concurrency=st.integers(1, 64),
    seed=st.integers(0, 9),
)
def test_a_shard_is_not_faster_than_its_pace(
    simulation: Any, lengths: list[int], rpm: float, concurrency: int, seed: int
) -> None:
    """Each page is asked for once, those that fail again, and the pace and the longest thread take their time."""
    model = simulation.Model(rpm=rpm, concurrency=concurrency, too_many=0.05, failed=0.05)
    fetched = simulation.simulate_shard(model, lengths, random.Random(seed))
    needed = [simulation.requests_of(model, one) for one in lengths]
    assert fetched.requests - fetched.repeated == sum(needed)
    assert fetched.messages == sum(lengths)
    assert fetched.seconds > max(max(needed) * model.latency, (fetched.requests - 3) / model.rate)


@given(
    lengths=st.lists(st.integers(0, 450), min_size=1, max_size=80),
    keys=st.integers(1, 9),
    deaths=st.sampled_from([0.0, 60.0, 360.0]),
    seed=st.integers(0, 9),
)
def test_every_shard_ends_once(simulation: Any, lengths: list[int], keys: int, deaths: float, seed: int) -> None:
    """However many workers die; what is lost is asked for again, and nothing else."""
    model = simulation.Model(threads=len(lengths), keys=keys, deaths=deaths, refused=0.0, seed=seed)
    draw = random.Random(seed)
    shards = [simulation.simulate_shard(model, [one], draw) for one in lengths]
    ended = simulation.Run(model, iter(shards), draw).to_its_end()
    assert ended.shards == len(shards)
    assert ended.messages == sum(lengths)
    assert sum(ended.sent) == pytest.approx(sum(one.requests for one in shards) + ended.lost)
    assert (ended.lost > 0) == (ended.deaths > 0)
    assert ended.ended - ended.began > sum(one.seconds for one in shards) / keys


def test_no_key_is_left(simulation: Any) -> None:
    """The run ends, and says how far it got."""
    model = simulation.Model(threads=2000, keys=2, refused=3600.0, samples=2)
    with pytest.raises(SystemExit, match="every key was refused: 0 of 8 shards"):
        simulation.simulate(model)


def test_the_command() -> None:
    """It prints what is assumed and what follows."""
    command = [sys.executable, str(BENCHMARKS / "simulate.py"), "--threads", "20000", "--keys", "4", "--samples", "5"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "messages of a thread, on average" in printed
    assert "20,000 threads, 4 keys (their quota alone)" in printed
