"""The shards of a list: every id is in one of them, and in the same one everywhere."""

import json
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadkeep.storage.sharding import Shard

IDS = st.text(st.characters(codec=None), min_size=1, max_size=40) | st.from_regex(r"thread_[A-Za-z0-9]{24}")
COUNTS = st.integers(1, 50)
KNOWN = {
    "thread_abc123": (1, 0, 53),
    "thread_AAAAAAAAAAAAAAAAAAAAAAAA": (1, 6, 13),
    "thread_b": (0, 2, 336),
    "550e8400-e29b-41d4-a716-446655440000": (0, 1, 908),
    "jan_é\U0001f32e": (0, 5, 450),
    "half_\ud83d": (0, 3, 76),
}
"""The shards of 2, of 7 and of 1,000 that ids are in. They must never change: exports lie on many disks."""


def shard_of(thread_id: str, count: int) -> int:
    """The number of the one shard that has an id."""
    (number,) = (number for number in range(count) if Shard(number, count).has(thread_id))
    return number


@given(ids=st.lists(IDS, max_size=60), count=COUNTS)
def test_shards_are_disjoint_and_cover_the_list(ids: list[str], count: int) -> None:
    """Together they are the list, repeats and all."""
    shards = [[one for one in ids if Shard(number, count).has(one)] for number in range(count)]
    assert sorted(one for shard in shards for one in shard) == sorted(ids)
    assert sum(len(set(shard)) for shard in shards) == len(set(ids))


@given(data=st.data(), ids=st.lists(IDS, max_size=30), count=COUNTS)
def test_a_shard_does_not_depend_on_the_list(data: st.DataObject, ids: list[str], count: int) -> None:
    """Neither on the order of the ids nor on which others there are."""
    shard = Shard(data.draw(st.integers(0, count - 1)), count)
    shuffled = data.draw(st.permutations(ids))
    fewer = [one for one in shuffled if data.draw(st.booleans())]
    assert {one for one in shuffled if shard.has(one)} == {one for one in ids if shard.has(one)}
    assert {one for one in fewer if shard.has(one)} == {one for one in ids if shard.has(one)} & set(fewer)


@pytest.mark.parametrize("thread_id", KNOWN)
def test_the_shards_of_known_ids(thread_id: str) -> None:
    """Today's are those of every other day."""
    assert tuple(shard_of(thread_id, count) for count in (2, 7, 1_000)) == KNOWN[thread_id]


def test_another_process_has_the_same_shards() -> None:
    """Whatever it hashes strings with."""
    ids = [f"thread_{number}" for number in range(200)]
    code = (
        "import json, sys\n"
        "from threadkeep.storage.sharding import Shard\n"
        "print(json.dumps([[Shard(n, 5).has(one) for n in range(5)] for one in json.load(sys.stdin)]))"
    )
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=json.dumps(ids),
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        )
        assert json.loads(done.stdout) == [[Shard(number, 5).has(one) for number in range(5)] for one in ids]


def test_shards_are_of_about_the_same_size() -> None:
    """Of numbered ids too."""
    sizes = Counter(shard_of(f"thread_{number:024d}", 8) for number in range(8_000))
    assert set(sizes) == set(range(8))
    assert all(850 < size < 1_150 for size in sizes.values())


@pytest.mark.parametrize(("text", "shard"), [("0/1", Shard(0, 1)), ("3/4", Shard(3, 4)), ("007/010", Shard(7, 10))])
def test_a_shard_is_read(text: str, shard: Shard) -> None:
    """As I/N."""
    assert Shard.parse(text) == shard


@pytest.mark.parametrize(
    ("text", "words"),
    [
        *((text, "is no shard, such as 0/4") for text in ("", "1", "1/", "/2", "1-2", "-1/2", "a/b", "1/2/3", " 1/2")),
        *((text, "is no shard, such as 0/4") for text in ("1/2 ", "1.0/2", "1/10000000", "1/2\n", "\u0661/2")),
        *((text, "there is no shard") for text in ("1/1", "4/4", "5/4", "0/0")),
    ],
)
def test_what_is_no_shard(text: str, words: str) -> None:
    """Named, with the numbers that there are."""
    with pytest.raises(ValueError, match=words):
        Shard.parse(text)


@pytest.mark.parametrize("pair", [(-1, 2), (2, 2), (0, 0), (0, -1)])
def test_numbers_that_no_shard_has(pair: tuple[int, int]) -> None:
    """They are refused."""
    with pytest.raises(ValueError, match="shards are numbered from 0"):
        Shard(*pair)
