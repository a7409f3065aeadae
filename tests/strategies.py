"""Messages as the Assistants API may give them, for hypothesis: the ordinary, the rare and the odd.

`messages` draws what an SDK can parse without changing it: every part type, annotations, unknown types and
fields at every depth, absent optional fields. `odd_messages` also breaks the shapes that the API promises.
"""

import json
import string
from typing import Any

from hypothesis import strategies as st

__all__ = [
    "astral_text",
    "identifiers",
    "json_values",
    "messages",
    "odd_messages",
    "raw_text",
    "surrogate_text",
    "threads",
]

_AWKWARD = [
    "\u2028",
    "\u2029",
    "\x85",
    "\x00",
    "\r\n",
    "\n",
    "\U0001f32e",
    "\U0010ffff",
    "\ufeff",
    "é",
    "【4:0†a.txt】",
    '"',
    "\\",
]

astral_text = st.text(st.characters(min_codepoint=0x10000, exclude_categories=["Cs"]), max_size=5)
_plain = st.text(max_size=40)
_awkward = st.lists(st.one_of(st.sampled_from(_AWKWARD), _plain), max_size=6).map("".join)


def _as_json_joins_it(text: str) -> str:
    """A high and a low surrogate side by side are one character to every JSON reader."""
    joined: str = json.loads(json.dumps(text))
    return joined


surrogate_text = st.text(st.characters(categories=["Cs", "Lu"]), min_size=1, max_size=6).map(_as_json_joins_it)
_long = st.text(min_size=1, max_size=9).map(lambda seed: (seed * 250_000)[:250_000])
raw_text = st.one_of(_plain, _awkward, astral_text, surrogate_text)
"""Any text that a JSON string can hold."""

_numbers = st.one_of(
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0, 1, 1.0, -0.0, 2**53, 2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**30, 1e22, 5e-324]),
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), _numbers, raw_text),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(raw_text, inner, max_size=3)),
    max_leaves=6,
)

_alphabet = string.ascii_letters + string.digits


def identifiers(prefix: str) -> st.SearchStrategy[str]:
    """Ids of the API's shape: a prefix and 24 letters or digits."""
    return st.text(_alphabet, min_size=24, max_size=24).map(lambda tail: prefix + tail)


_unknown_keys = st.one_of(
    st.sampled_from(["status", "completed_at", "x_extra", "naïve", "логи", "a b", "$ref"]),
    raw_text.map(lambda text: "x" + text),
)
_unknown_fields = st.dictionaries(
    _unknown_keys.filter(lambda key: key not in ("status", "completed_at")), json_values, max_size=2
)


def _with_unknown(known: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(lambda fields, extra: {**fields, **extra}, known, st.one_of(st.just({}), _unknown_fields))


_details = st.sampled_from(["auto", "low", "high"])
_offsets = st.integers(min_value=0, max_value=250_000)
_file_ids = identifiers("file-")


def _annotation(kind: str, body: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    fields = {
        "type": st.just(kind),
        "text": raw_text,
        "start_index": _offsets,
        "end_index": _offsets,
        kind: body,
    }
    return _with_unknown(st.fixed_dictionaries(fields))


_unknown_kinds = st.sampled_from(["audio", "video", "input_text", "url_citation", "thinking", ""])
_unknown_typed = st.builds(lambda kind, extra: {"type": kind, **extra}, _unknown_kinds, _unknown_fields)
_annotations = st.one_of(
    _annotation(
        "file_citation",
        _with_unknown(st.fixed_dictionaries({"file_id": _file_ids}, optional={"quote": raw_text})),
    ),
    _annotation("file_path", _with_unknown(st.fixed_dictionaries({"file_id": _file_ids}))),
    _unknown_typed,
)
_text_body = _with_unknown(
    st.fixed_dictionaries({"value": raw_text, "annotations": st.lists(_annotations, max_size=3)})
)
_parts = st.one_of(
    _with_unknown(st.fixed_dictionaries({"type": st.just("text"), "text": _text_body})),
    _with_unknown(
        st.fixed_dictionaries(
            {
                "type": st.just("image_file"),
                "image_file": _with_unknown(
                    st.fixed_dictionaries({"file_id": _file_ids}, optional={"detail": _details})
                ),
            }
        )
    ),
    _with_unknown(
        st.fixed_dictionaries(
            {
                "type": st.just("image_url"),
                "image_url": _with_unknown(st.fixed_dictionaries({"url": raw_text}, optional={"detail": _details})),
            }
        )
    ),
    _with_unknown(st.fixed_dictionaries({"type": st.just("refusal"), "refusal": raw_text})),
    _unknown_typed,
)
_metadata: st.SearchStrategy[dict[str, str]] = st.one_of(
    st.just({}),
    st.dictionaries(st.text(max_size=8), st.text(max_size=12), max_size=3),
    st.just({f"key-{number:02}" + "k" * 58: "v" * 512 for number in range(16)}),
)
_attachments = st.lists(
    st.fixed_dictionaries(
        {"file_id": _file_ids, "tools": st.just([{"type": "file_search"}, {"type": "code_interpreter"}])}
    ),
    max_size=2,
)
# What REST left out and the stream's long form gave; a message holds all four or none of them.
_long_form = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["completed", "in_progress", "incomplete"]),
        "incomplete_details": st.one_of(st.none(), st.just({"reason": "max_tokens"})),
        "incomplete_at": st.one_of(st.none(), st.integers(0, 2**33)),
        "completed_at": st.one_of(st.none(), st.integers(0, 2**33)),
    }
)


@st.composite
def messages(draw: st.DrawFn, *, thread_id: str | None = None, long_texts: bool = True) -> dict[str, Any]:
    """A message of the API's promised shape, with unknown types and fields at every depth."""
    message: dict[str, Any] = {
        "id": draw(identifiers("msg_")),
        "object": "thread.message",
        "created_at": draw(st.integers(0, 2**33)),
        "assistant_id": draw(st.one_of(st.none(), identifiers("asst_"))),
        "thread_id": thread_id or draw(identifiers("thread_")),
        "run_id": draw(st.one_of(st.none(), identifiers("run_"))),
        "role": draw(st.sampled_from(["user", "assistant"])),
        "content": draw(st.lists(_parts, max_size=4)),
        "attachments": draw(st.one_of(st.none(), _attachments)),
        "metadata": draw(st.one_of(st.none(), _metadata)),
    }
    if draw(st.booleans()):
        message |= draw(_long_form)
    if long_texts and draw(st.integers(0, 19)) == 0:
        message["content"].append({"type": "text", "text": {"value": draw(_long), "annotations": []}})
    message |= draw(st.one_of(st.just({}), _unknown_fields))
    return message


@st.composite
def odd_messages(draw: st.DrawFn) -> dict[str, Any]:
    """A message in which anything but the two ids may be missing or of another type."""
    message = draw(messages(long_texts=False))
    for key in draw(st.lists(st.sampled_from(sorted(message.keys() - {"id", "thread_id"})), max_size=3)):
        message.pop(key, None)
    for key in draw(
        st.lists(st.sampled_from(["content", "role", "created_at", "metadata", "attachments"]), max_size=2)
    ):
        message[key] = draw(json_values)
    if isinstance(message.get("content"), list):
        message["content"] += draw(st.lists(st.one_of(json_values, _misshapen), max_size=2))
    return message


_misshapen = st.builds(
    lambda kind, body: {"type": kind, kind: body},
    st.sampled_from(["text", "image_file", "image_url", "refusal"]),
    st.one_of(json_values, st.fixed_dictionaries({"value": raw_text, "annotations": json_values})),
)


@st.composite
def threads(draw: st.DrawFn, *, max_messages: int = 4) -> dict[str, list[dict[str, Any]]]:
    """Threads by id, each with its messages in the server's order."""
    ids = draw(st.lists(identifiers("thread_"), max_size=3, unique=True))
    used = set[str]()
    drawn = {}
    for thread_id in ids:
        rows = draw(st.lists(messages(thread_id=thread_id, long_texts=False), max_size=max_messages))
        own = {row["id"]: row for row in rows if row["id"] not in used}
        used |= own.keys()
        drawn[thread_id] = list(own.values())
    return drawn
