"""The metadata of a conversation: the limits of the API, and times that can be read again."""

import string
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from strategies import json_values, raw_text
from threadkeep.migration.conversations.metadata import THREAD_ID, Metadata, decode_times, encode_times, metadata_of

PAIRS, KEY, VALUE = 16, 64, 512  # documented

times = st.one_of(st.none(), st.integers(0, 2**33), st.integers(0, 2**33).map(lambda s: s * 1000), st.integers())
own_pairs = st.dictionaries(
    st.one_of(raw_text, st.sampled_from(["times", "times_1", "times_2", THREAD_ID, "k" * KEY, "k" * (KEY + 1)])),
    st.one_of(raw_text, st.sampled_from(["v" * VALUE, "v" * (VALUE + 1)]), json_values),
    max_size=20,
)


def times_of(pairs: Any) -> str:
    """The times in metadata, as whoever reads it joins them."""
    if "times" in pairs:
        return str(pairs["times"])
    chunks = [pairs[f"times_{number}"] for number in range(1, PAIRS) if f"times_{number}" in pairs]
    return ",".join(chunks)


def is_unicode(text: str) -> bool:
    """No half of a surrogate pair is in it."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


@given(st.lists(times, max_size=300))
@example([None, 5])
@example([5, None])
@example([None, None, 5, None])
@example([1_774_963_800, 1_774_963_799, 1_774_963_800_000])
def test_times_can_be_read_again(given_times: Sequence[int | None]) -> None:
    """In base 36, with commas only; without any time there is no text."""
    text = encode_times(given_times)
    assert set(text) <= set(string.digits + string.ascii_lowercase + "-,")
    known = any(time is not None for time in given_times)
    assert decode_times(text) == ([*given_times] if known else [])


def test_the_text_of_times_is_as_documented() -> None:
    """The first time, then the differences; a negative one has a sign, and an unknown one is empty."""
    assert encode_times([35, 36, None, 34, 34]) == "z,1,,-2,0"
    assert encode_times([]) == encode_times([None, None]) == ""


@given(
    st.lists(times, max_size=3000), st.dictionaries(st.text(string.ascii_letters, max_size=3), st.just("v"), max_size=8)
)
@example([1_774_963_800, *[None] * 506], {})  # the last chunk is of one unknown time
@example([1_774_963_800, *[None] * 507], {})
@example([None] * 1500 + [7], {})
def test_chunks_of_times_join_to_the_text(given_times: Sequence[int | None], own: dict[str, str]) -> None:
    """Each fits into a value, and all of them are there, or none is."""
    text = encode_times(given_times)
    found = metadata_of("thread_a", own, text)
    if found.has_times:
        assert times_of(found.pairs) == text
    else:
        assert len(text) > VALUE
        assert [*found.pairs] == [THREAD_ID, *own]


@given(own_pairs, st.lists(times, max_size=1000))
def test_metadata_keeps_to_the_limits_and_every_pair_is_carried_or_lost(
    own: dict[str, Any], given_times: Sequence[int | None]
) -> None:
    """The id of the thread is the first pair, then come those of the thread as they are, then the times."""
    text = encode_times(given_times)
    found = metadata_of("thread_a", own, text)
    assert_within_the_limits(found)
    carried = [key for key in own if key in found.pairs and found.pairs[key] == own[key]]
    assert len(carried) + len(found.losses) == len(own)
    assert all((loss.thread_id, loss.message_id, loss.lost) == ("thread_a", None, "metadata") for loss in found.losses)
    assert all(any(loss.why.startswith(f"{key!r}: ") for loss in found.losses) for key in own if key not in carried)
    names = [key for key in found.pairs if key not in carried and key != THREAD_ID]
    assert [*found.pairs] == [THREAD_ID, *(key for key in carried if key != THREAD_ID), *names]
    assert found.pairs[THREAD_ID] == "thread_a"
    if not found.has_times:
        assert names == []
    elif text:
        assert ",".join(found.pairs[name] for name in names) == text


def assert_within_the_limits(found: Metadata) -> None:
    """Of the API."""
    assert next(iter(found.pairs)) == THREAD_ID
    assert len(found.pairs) <= PAIRS
    for key, value in found.pairs.items():
        assert isinstance(value, str)
        assert len(key) <= KEY
        assert len(value) <= VALUE
        assert is_unicode(key + value)


def test_a_thread_with_all_the_pairs_that_it_may_have_loses_one() -> None:
    """Of the 16 of a conversation the first has the id of the thread; the times are in the map only."""
    own = {f"key-{number:02}": "v" for number in range(PAIRS)}
    found = metadata_of("thread_a", own, encode_times([5]))
    assert [*found.pairs] == [THREAD_ID, *own][:PAIRS]
    assert [loss.why for loss in found.losses] == ["'key-15': a conversation has at most 16 pairs"]
    assert not found.has_times


@pytest.mark.parametrize("own", ["text", ["a"], 5, True])
def test_metadata_that_is_no_object_is_lost(own: object) -> None:
    """And named, as everything is."""
    found = metadata_of("thread_a", own, "")
    assert found.pairs == {THREAD_ID: "thread_a"}
    assert [loss.why for loss in found.losses] == ["it is not an object of texts"]


@pytest.mark.parametrize("own", [None, {}, [], ""])
def test_a_thread_without_metadata_loses_none(own: object) -> None:
    """Whatever is in its place."""
    assert metadata_of("thread_a", own, "") == Metadata({THREAD_ID: "thread_a"}, (), has_times=True)


def test_a_pair_that_says_the_same_as_ours_is_carried() -> None:
    """A thread may have the id of its thread in its metadata already; another id has no place."""
    assert metadata_of("thread_a", {THREAD_ID: "thread_a"}, "").losses == ()
    (loss,) = metadata_of("thread_a", {THREAD_ID: "thread_b"}, "").losses
    assert loss.why == "'thread_id': this key has the id of the thread"


@pytest.mark.parametrize("count", [1, 150])
@pytest.mark.parametrize("key", ["times", "times_1", "times_2", "times_16"])
def test_times_are_not_mixed_with_pairs_of_the_thread(key: str, count: int) -> None:
    """Then the times are in the map only: neither is written over, and nobody takes one for the other."""
    text = encode_times([number * 36**6 for number in range(1, count + 1)])
    found = metadata_of("thread_a", {key: "mine"}, text)
    assert found.pairs == {THREAD_ID: "thread_a", key: "mine"}
    assert not found.has_times


def test_a_time_that_fits_into_no_value_is_in_the_map_only() -> None:
    """A number in JSON has as many digits as one likes."""
    found = metadata_of("thread_a", None, encode_times([36**600]))
    assert found.pairs == {THREAD_ID: "thread_a"}
    assert not found.has_times
