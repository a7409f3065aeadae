"""The files that a message refers to."""

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

import strategies
from threadkeep.records.content import files_of, files_of_line
from threadkeep.records.ndjson import encode_message

_NAMED = {"id": "msg_1", "thread_id": "thread_1"}


@given(st.one_of(strategies.messages(), strategies.odd_messages()))
@example({**_NAMED, "attachments": [{"file_id": 'file-"1'}, {"file_id": "file-\\2"}]})
@example({**_NAMED, "attachments": [{"file_id": "file-1"}], "metadata": {"file_id": "a word"}})
@example({**_NAMED, "content": [{"type": "odd", "odd": {"file_id": "file-1", "metadata": {"file_id": "a word"}}}]})
def test_the_files_of_a_line_are_those_of_its_message(message: dict[str, Any]) -> None:
    """Whatever the id holds, and wherever such a key stands."""
    assert files_of_line(encode_message(message, assistant_id=None), message) == files_of(message)


def test_free_text_names_no_file() -> None:
    """An id in it is a word."""
    assert files_of({"metadata": {"file_id": "file-1"}, "text": {"value": '"file_id":"file-2"'}}) == ()
    assert files_of({"a": [{"file_id": "file-1"}], "b": {"file_id": "file-2"}, "c": {"file_id": "file-1"}}) == (
        "file-1",
        "file-2",
    )
