"""Lines that are stored before it is known whose they are, and become what they would have been written as."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import strategies
from threadkeep.errors import MalformedMessage
from threadkeep.records.ndjson import encode_message, flat_lines, with_assistant

ROWS = st.lists(st.one_of(strategies.messages(long_texts=False), strategies.odd_messages()), max_size=4)
ASSISTANTS = st.one_of(st.none(), strategies.raw_text)


def of_one_thread(rows: list[dict[str, Any]], thread_id: str) -> list[dict[str, Any]]:
    """The same messages, all of one thread."""
    return [{**row, "thread_id": thread_id} for row in rows]


@given(ROWS, strategies.raw_text.filter(bool), ASSISTANTS)
def test_a_stored_line_becomes_the_line_of_the_export(
    rows: list[dict[str, Any]], thread_id: str, assistant_id: str | None
) -> None:
    """Full, and cut to a flat one: to the byte what would have been written at once."""
    rows = [row for row in of_one_thread(rows, thread_id) if _can_be_written(row)]
    stored = b"".join(encode_message(row, assistant_id=None) + b"\n" for row in rows)
    full = with_assistant(stored, thread_id, assistant_id)
    assert full == b"".join(encode_message(row, assistant_id=assistant_id) + b"\n" for row in rows)
    assert flat_lines(full) == b"".join(
        encode_message(row, assistant_id=assistant_id, flat=True) + b"\n" for row in rows
    )


def _can_be_written(row: dict[str, Any]) -> bool:
    try:
        encode_message(row, assistant_id=None)
    except (MalformedMessage, ValueError):
        return False
    return True
