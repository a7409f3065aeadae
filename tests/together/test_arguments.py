"""Arguments of a wrong type, and swapped ones, are refused in one sentence that names them, before anything is done."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI

import threadkeep
from exports import ASSISTANT

IDS = ["thread_a"]
call: Any = threadkeep  # what a type checker would refuse is the subject
CLIENT = OpenAI(api_key="k", base_url="http://127.0.0.1:1/v1")
CALLS: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: call.export(IDS, "out.ndjson", ASSISTANT), ValueError, "the arguments are thread_ids, assistant_id, out"),
    (lambda: call.export(IDS, "a/b", ASSISTANT), ValueError, "the arguments are thread_ids, assistant_id, out"),
    (lambda: call.export(ASSISTANT, IDS, "out.ndjson"), TypeError, "assistant_id must be a str, and is list"),
    (lambda: call.export("out.ndjson", IDS, ASSISTANT), TypeError, "assistant_id must be a str, and is list"),
    (lambda: call.push("conversations", to="out.ndjson"), ValueError, "to is 'out.ndjson': it must be 'conv"),
    (lambda: call.push(IDS), TypeError, "out must be a str or a Path, and is list"),
    (lambda: call.push("out", to=3), ValueError, "to is 3: it must be"),
    (lambda: call.validate(IDS), TypeError, "out must be a str or a Path, and is list"),
    (lambda: call.validate("out", ids=3), TypeError, "ids must be ids or the path of a file of ids, and is int"),
    (lambda: call.validate("out", most="3"), TypeError, "most must be a whole number, and is str"),
    (lambda: call.validate("out", now=3), TypeError, "now must be a datetime, and is int"),
    (lambda: call.validate("out", column=1), TypeError, "column must be a str, and is int"),
    (lambda: call.read(IDS), TypeError, "path must be a str or a Path, and is list"),
    (lambda: call.read(b"out"), TypeError, "path must be a str or a Path, and is bytes"),
    (lambda: call.status(None), TypeError, "out must be a str or a Path, and is NoneType"),
    (lambda: call.write(IDS), TypeError, "out must be a str or a Path, and is list"),
    (lambda: call.write("out", on_notice=3), TypeError, "on_notice must be a function, and is int"),
    (lambda: call.convert(IDS, to="chat", target="x"), TypeError, "out must be a str or a Path, and is list"),
    (lambda: call.convert("out", to=["chat"], target="x"), TypeError, "to must be a str, and is list"),
    (lambda: call.convert("out", to="x.md", target="chat"), ValueError, "there is no format 'x.md': choose one of"),
    (lambda: call.convert("out", to="chat", target=None), TypeError, "target must be a str or a Path"),
    (lambda: call.convert("out", to="chat", target="x", only=3), TypeError, "only must be ids, and is int"),
    (lambda: call.to_chat_messages("text"), TypeError, "each of the records must be a MessageRecord, and is str"),
    (lambda: call.to_response_items([{}]), TypeError, "each of the records must be a MessageRecord, and is dict"),
    (lambda: call.to_response_items(3), TypeError, "records must be the records of a thread, and is int"),
    (lambda: call.encode({}), TypeError, "record must be a MessageRecord, and is dict"),
    (lambda: call.to_flat(None), TypeError, "record must be a MessageRecord, and is NoneType"),
    (lambda: call.to_message_json({}), TypeError, "record must be a MessageRecord, and is dict"),
    (lambda: call.decode({}), TypeError, "line must be bytes or a str, and is dict"),
    (lambda: call.from_message_json("x", assistant_id=None), threadkeep.MalformedMessage, "must be an object, not str"),
    (lambda: [*call.iter_messages("thread_a", CLIENT, assistant_id=None)], TypeError, "client must be an OpenAI"),
    (lambda: [*call.iter_messages(CLIENT, 3, assistant_id=None)], TypeError, "thread_id must be a str, and is int"),
    (
        lambda: [*call.iter_messages(AsyncOpenAI(api_key="k"), "thread_a", assistant_id=None)],
        TypeError,
        "client must be an OpenAI, and is AsyncOpenAI",
    ),
    (lambda: call.open_history(3), TypeError, "the URL of a history must be a str or a Path, and is int"),
    (lambda: call.copy_history(3, 4), TypeError, "the URL of a history must be a str or a Path, and is int"),
    (lambda: call.count_tokens(3), TypeError, "items must be a list of dicts, and is int"),
    (lambda: call.count_tokens([], 3), TypeError, "model must be a str, and is int"),
    (lambda: call.trim([], []), ValueError, "max_tokens is .*, not a positive number of tokens"),
    (lambda: call.repair(3), TypeError, "items must be a list of dicts, and is int"),
    (lambda: call.Trimmed("chat.json", 8000), TypeError, "a session is needed, not a str"),
    (lambda: call.Conversation("memory://", CLIENT, model="m"), TypeError, "a session is needed, not an OpenAI"),
    (lambda: call.Conversation("talk", "memory://a", model="m"), TypeError, "client must be an OpenAI or an AsyncO"),
]


@pytest.mark.parametrize(("refused", "error", "words"), CALLS, ids=range(len(CALLS)))
def test_a_wrong_argument_is_named(
    refused: Callable[[], object],
    error: type[Exception],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In one sentence, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=words) as raised:
        refused()
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []
