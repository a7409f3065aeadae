"""Strategies for what the model answers: scripts as JSON, of every kind of step."""

from typing import Any

from hypothesis import strategies as st

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
names = st.from_regex(r"[a-z_]{1,12}", fullmatch=True)


PATH = {"type": "file_path", "file_path": {"file_id": "file-6"}}


@st.composite
def annotated(draw: st.DrawFn) -> dict[str, Any]:
    """A text part whose annotations stand within it, in any order, also one upon the other."""
    value = draw(words)
    notes = []
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(value)))
        end = draw(st.integers(start, len(value)))
        note = {"type": "file_citation", "text": value[start:end], "start_index": start, "end_index": end}
        notes.append(draw(st.sampled_from([{**note, "file_citation": {"file_id": "file-1"}}, {**note, **PATH}])))
    return {"type": "text", "text": {"value": value, "annotations": notes}}


def _image(file_id: str) -> dict[str, Any]:
    return {"type": "image_file", "image_file": {"file_id": file_id, "detail": "auto"}}


parts = st.one_of(
    annotated(),
    words.map(lambda text: {"type": "text", "text": text}),
    words.map(lambda text: {"type": "refusal", "refusal": text}),
    st.just("file-2").map(_image),
    st.just({"type": "hologram", "depth": 3}),
)
outputs = words | st.just({"type": "image", "image": {"file_id": "file-3"}})
found = st.fixed_dictionaries(
    {"file_id": st.just("file-4"), "file_name": names, "score": st.floats(0, 1)},
    optional={"content": words.map(lambda text: [{"type": "text", "text": text}])},
)
calls = st.fixed_dictionaries(
    {"name": names}, optional={"arguments": words | st.dictionaries(names, words, max_size=2)}
)

kinds = st.one_of(
    st.fixed_dictionaries({"reply": words | st.lists(parts, max_size=3)}),
    st.fixed_dictionaries({"call": st.lists(calls, min_size=1, max_size=3)}),
    st.fixed_dictionaries(
        {"code": st.fixed_dictionaries({"input": words}, optional={"outputs": st.lists(outputs, max_size=2)})}
    ),
    st.fixed_dictionaries({"search": st.fixed_dictionaries({}, optional={"results": st.lists(found, max_size=2)})}),
    st.just({"image": "file-5"}),
    st.fixed_dictionaries({"refuse": words}),
)
REASONS = ["max_completion_tokens", "max_prompt_tokens", "content_filter"]
ends: st.SearchStrategy[Any] = st.one_of(
    st.just({"fail": {"code": "rate_limit_exceeded", "message": "You exceeded your current quota."}}),
    st.sampled_from(REASONS).map(lambda why: {"incomplete": why}),
    st.just({"error": {}}),
    st.just({"error": {"message": "Boom", "code": "boom"}}),
)
options = st.fixed_dictionaries({}, optional={"chunk": st.integers(1, 5), "pause": st.sampled_from([0, 0.5])})
steps = st.builds(lambda step, option: {**step, **option}, kinds, options)
answers = st.builds(lambda some, end: [*some, *end], st.lists(steps, max_size=4), st.lists(ends, max_size=1))
