"""Threads of odd messages that tests convert, and what a format for texts has to make of them."""

import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from converting import losses, lost_words, meant, put_bare
from strategies import identifiers, odd_messages
from threadkeep import FormatName, MessageRecord, convert, from_message_json

__all__ = ["by_thread", "has_time", "json_of", "odd_threads", "part_losses", "target_of", "texts"]

_IDS = st.lists(identifiers("msg_"), min_size=1, max_size=6, unique=True)


@st.composite
def odd_threads(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Messages of two threads, those of each together."""
    ids = draw(_IDS)
    cut = draw(st.integers(0, len(ids)))
    return [
        {**draw(odd_messages()), "id": message_id, "thread_id": "thread_a" if place < cut else "thread_b"}
        for place, message_id in enumerate(ids)
    ]


def by_thread(messages: Sequence[Mapping[str, Any]]) -> dict[str, list[MessageRecord]]:
    """The records of the messages."""
    found: dict[str, list[MessageRecord]] = {}
    for message in messages:
        found.setdefault(message["thread_id"], []).append(from_message_json(message, assistant_id=None))
    return found


def target_of(
    to: FormatName, messages: Sequence[Mapping[str, Any]], **options: Any
) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    """Convert messages: the files of the target by name (of a single file ""), and the rows of the loss report."""
    with tempfile.TemporaryDirectory() as folder:
        out = put_bare(Path(folder) / "out.ndjson", messages)
        done = convert(out, to=to, target=Path(folder) / "target", **options)
        rows = losses(done)
        assert (done.threads, done.messages) == (len(by_thread(messages)), len(messages))
        if done.path.is_file():
            return {"": done.path.read_bytes()}, rows
        return {path.name: path.read_bytes() for path in sorted(done.path.iterdir())}, rows


def json_of(content: bytes) -> Any:
    """The value of a JSON text; a key that occurs twice fails."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    return json.loads(content, object_pairs_hook=once)


def texts(record: MessageRecord) -> str:
    """The texts of a message, joined."""
    return "\n".join(value for word, value in meant(record) if word == "text" and value is not None)


def has_time(record: MessageRecord) -> bool:
    """Whether a message has a time that every format can carry."""
    return record.created_at is not None and 0 <= record.created_at < 2**64 // 10**9


def part_losses(record: MessageRecord, rows: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """The words of the lost parts of a message."""
    return lost_words(record, [row for row in rows if row["lost"] != "created_at"])
