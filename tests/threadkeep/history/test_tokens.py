"""Counting a history: the overhead that OpenAI publishes, the model's encoding, and stated estimates for the rest."""

import base64
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadkeep import count_tokens, trim
from threadkeep.history.counting import encodings
from threadkeep.history.counting.encodings import encoding_of, text_counter
from threadkeep.history.counting.images import image_tokens
from tokenizer import remove_tokenizer

Item = dict[str, Any]

FIRST = {"role": "user", "content": "hello world"}  # 3 + user + hello + world
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system"]), "content": st.text(max_size=30)},
        optional={"name": st.sampled_from(["Ann", "Bo"])},
    )
)


@given(messages, st.sampled_from(["gpt-4o", "gpt-4"]))
def test_messages_count_as_in_the_published_example(items: list[Item], model: str) -> None:
    """3 for a message, 1 more for a name, its values, and 3 for the reply."""
    text = text_counter(model)
    expected = 3
    for message in items:
        expected += 3 + sum(map(text, message.values())) + ("name" in message)
    assert count_tokens(items, model) == expected


@given(st.lists(messages, max_size=4))
def test_parts_of_a_history_add_up(lists: list[list[Item]]) -> None:
    """Each item counts whatever stands before it; the start of the reply counts once."""
    joined = [item for items in lists for item in items]
    assert count_tokens(joined) - 3 == sum(count_tokens(items) - 3 for items in lists)


@given(st.lists(st.sampled_from(["中文", "where ", "𓀀", "где", "\ud800"]), max_size=5).map("".join))
def test_an_unknown_model_counts_as_the_larger_encoding(text: str) -> None:
    """Text by text."""
    for unknown in (None, "claude", "my-deployment"):
        assert text_counter(unknown)(text) == max(text_counter("gpt-4o")(text), text_counter("gpt-4")(text))


@given(st.text(), st.sampled_from(["gpt-4o", "gpt-4", None]))
def test_without_bpe_openai_nothing_counts_less(text: str, model: str | None) -> None:
    """Also a text with lone surrogates."""
    exact = text_counter(model)(text + "\udc00")
    with pytest.MonkeyPatch.context() as patch:
        remove_tokenizer(patch)
        assert text_counter(model)(text + "\udc00") >= exact


@pytest.mark.parametrize(
    ("encoding", "models"),
    [
        (
            "o200k_base",
            "gpt-4o gpt-4o-mini gpt-4o-2024-08-06 chatgpt-4o-latest gpt-4.1 gpt-4.1-nano gpt-4.5-preview gpt-5"
            " gpt-5-mini gpt-5.1 gpt-5-2025-08-07 o1 o1-pro o3 o3-mini-2025-01-31 o4-mini gpt-oss-120b openai/gpt-4o"
            " azure/gpt-4o openrouter/openai/gpt-5 ft:gpt-4o-mini-2024-07-18:org:name:id openai.gpt-oss-20b-1:0 GPT-4o",
        ),
        (
            "cl100k_base",
            "gpt-4 gpt-4-0613 gpt-4-32k gpt-4-turbo gpt-4-turbo-2024-04-09 gpt-4-1106-preview gpt-3.5-turbo gpt-3.5"
            " gpt-35-turbo gpt-35-turbo-16k azure/gpt-35-turbo ft:gpt-3.5-turbo-0125:org::id openai/gpt-4",
        ),
        (None, "gpt-6 claude-3 llama gpt-50 o12 gpt-4.9 gpt-44 davinci mygpt-4o"),
    ],
)
def test_the_encoding_of_a_model(encoding: str | None, models: str) -> None:
    """Dated, fine-tuned and with a provider, too."""
    assert {model: encoding_of(model) for model in models.split()} == dict.fromkeys(models.split(), encoding)
    assert encoding_of(None) is encoding_of("") is None


@pytest.mark.parametrize(
    ("item", "tokens"),
    [
        (FIRST, 6),
        ({**FIRST, "content": [{"type": "text", "text": "hello"}, {"type": "input_text", "text": " world"}]}, 6),
        ({**FIRST, "id": "msg_123", "status": "completed"}, 6),
        ({**FIRST, "type": "message"}, 6),
        ({"role": "assistant", "content": None, "refusal": "no"}, 5),
        ({"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}, 5),
        ({"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "b", "arguments": "c"}}]}, 4 + 3 + 3),
        ({"role": "assistant", "tool_calls": [{"type": "custom", "custom": {"name": "b", "input": "c"}}]}, 4 + 3 + 2),
        ({"role": "assistant", "tool_calls": [{"type": "x"}]}, 4 + 3 + 5),
        ({"role": "assistant", "tool_calls": "x"}, 4 + 3 + 2),
        ({"role": "assistant", "function_call": {"name": "b", "arguments": "c"}}, 4 + 2),
        ({"role": "assistant", "function_call": 5}, 4 + 1),
        ({"role": "assistant", "audio": {"id": "a"}}, 4 + 1_000),
        ({"role": "tool", "tool_call_id": "a", "content": "b"}, 3 + 3),
        ({"type": "function_call", "call_id": "a", "name": "b", "arguments": "c", "id": "fc_1"}, 3 + 4),
        ({"type": "function_call_output", "call_id": "a", "output": "b"}, 3 + 2),
        ({"type": "function_call_output", "call_id": "a", "output": [{"type": "input_text", "text": "b"}]}, 3 + 2),
        ({"type": "custom_tool_call", "call_id": "a", "name": "b", "input": "c"}, 3 + 4),
        (
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "b"}], "encrypted_content": "x" * 9},
            3 + 3,
        ),
        ({"type": "compaction", "encrypted_content": "x" * 40}, 3 + 10),
        ({"type": "computer_call_output", "call_id": "a", "output": {"type": "computer_screenshot"}}, 3 + 1 + 1_445),
        ({"type": "image_generation_call", "result": "aGVsbG8="}, 3 + 1_445),
        ({"type": "new"}, 3 + 5),
        ({"role": "user", "content": [{"type": "new"}]}, 4 + 5),
        ({"role": "user", "content": {"new": 1}}, 4 + 5),
        ({"role": "user", "content": [{"type": "input_file", "file_data": "x" * 40}]}, 4 + 10),
        ({"role": "user", "content": [{"type": "file", "file": {"file_data": "x" * 40}}]}, 4 + 10),
        ({"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}, 4 + 2_000),
        ({"role": "user", "content": [{"type": "file", "file": None}]}, 4 + 2_000),
        ({"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "x" * 4_000}}]}, 4 + 10),
        ({"role": "user", "content": [{"type": "input_audio", "input_audio": None}]}, 4 + 1_000),
        ({"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}, 4 + 1_445),
        ({"role": "user", "content": [{"type": "input_image", "image_url": "u", "detail": "low"}]}, 4 + 85),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u", "detail": "low"}}]}, 4 + 85),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}, 4 + 1_445),
    ],
)
def test_what_an_item_counts(item: Item, tokens: int) -> None:
    """What the model sees of it: texts, names, arguments, the id of a call; no other ids, and no states."""
    assert count_tokens([item], model="gpt-4o") == 3 + tokens


def test_an_item_is_a_dict() -> None:
    """An object of the SDK must be made one."""
    with pytest.raises(TypeError, match="item 1 is a str, not a dict"):
        count_tokens([FIRST, "hello"])  # type: ignore[list-item]


@given(st.lists(st.sampled_from(["it", "'s", "a   b", "a \n\nb", "a  1", "123", "漢", "É", "-", "/"]), min_size=20))
def test_a_long_text_counts_as_one(words: list[str]) -> None:
    """It is cut where its tokens are the same."""
    text = " ".join(words)
    for encoding in map(encodings._loaded, ("o200k_base", "cl100k_base")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(encodings, "_LONGEST_TEXT", 25)
            assert encodings._count(encoding, text) == len(encoding.encode_ordinary(text))


def test_a_text_of_more_than_a_million_characters() -> None:
    """No length is refused, also of one word."""
    assert text_counter("gpt-4o")("some words " * 150_000) == 300_001
    assert text_counter("gpt-4")("漢" * 1_800_000) == 1_800_000 * text_counter("gpt-4")("漢")


def test_special_tokens_are_text() -> None:
    """Whoever writes them in a message means the text."""
    assert count_tokens([{"role": "user", "content": "<|endoftext|>"}], "gpt-4") > 3 + 3 + 1 + 1


def png(wide: int, high: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", wide, high) + bytes(20)


def jpeg(wide: int, high: int) -> bytes:
    exif = b"\xff\xe1" + struct.pack(">H", 1_000) + bytes(998)
    return (
        b"\xff\xd8"
        + exif
        + b"\xff\xc4\x00\x04ab"
        + b"\xff\xc2\x00\x11\x08"
        + struct.pack(">HH", high, wide)
        + bytes(20)
    )


def gif(wide: int, high: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", wide, high) + bytes(20)


def webp(kind: bytes, rest: bytes) -> bytes:
    return b"RIFF\x00\x00\x00\x00WEBP" + kind + bytes(4) + rest + bytes(20)


def url(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


@pytest.mark.parametrize(
    "image",
    [
        png(1024, 640),
        jpeg(1024, 640),
        gif(1024, 640),
        webp(b"VP8X", bytes(4) + (1023).to_bytes(3, "little") + (639).to_bytes(3, "little")),
        webp(b"VP8L", b"\x2f" + (1023 | 639 << 14).to_bytes(4, "little")),
        webp(b"VP8 ", bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", 1024, 640)),
    ],
)
def test_the_size_of_an_image_in_a_url(image: bytes) -> None:
    """Every format that the API takes: 32 x 20 patches of 32 x 32."""
    assert image_tokens(url(image), None, "o4-mini") == 1101  # 640 * 1.72, rounded up


@pytest.mark.parametrize(
    "image",
    [
        None,
        5,
        "https://example.com/a.png",
        "data:image/png;base64,",
        "data:image/png;base64,????",
        "data:image/png;base64,a",
        "data:image/png;base64,a???",
        "data:image/png;base64,é???",
        url(b"\x89PNG\r\n\x1a\n"),
        url(b"\xff\xd8\xff\xd9" + bytes(20)),
        url(b"\xff\xd8" + bytes(20)),
        url(b"\xff\xd8\xff\xe0\xff\xff" + bytes(20)),
    ],
)
def test_an_image_of_unknown_size_counts_the_most(image: object) -> None:
    """No image costs more."""
    assert image_tokens(image, None, "o4-mini") == 2642
    assert image_tokens(image, "auto", "gpt-4o") == 85 + 8 * 170


@pytest.mark.parametrize(
    ("model", "size", "tokens"),
    [
        ("gpt-4o", (1024, 1024), 765),
        ("gpt-4o", (2048, 4096), 1105),
        ("gpt-4o", (768, 768), 765),
        ("gpt-4o", (2048, 768), 85 + 8 * 170),
        ("gpt-4o", (10_000, 10), 85 + 4 * 170),
        ("gpt-4.1", (1024, 1024), 765),
        ("gpt-4-turbo", (1024, 1024), 765),
        ("openai/gpt-4o-mini", (1024, 1024), 2833 + 4 * 5667),
        ("gpt-5", (1024, 1024), 70 + 4 * 140),
        ("gpt-5.1", (1024, 1024), 70 + 4 * 140),
        ("o1", (1024, 1024), 75 + 4 * 150),
        ("o3", (1024, 1024), 75 + 4 * 150),
        ("computer-use-preview", (1024, 1024), 65 + 4 * 129),
        ("gpt-4.1-mini", (1024, 1024), 1659),
        ("gpt-4.1-mini", (1800, 2400), 2353),  # 33 x 44 patches, as in the published example
        ("gpt-4.1-mini", (2400, 1800), 2353),
        ("gpt-4.1-mini", (100_000, 10), 2489),
        ("gpt-5-nano", (1024, 1024), 2520),
        ("gpt-5-mini", (4096, 4096), 2465),  # 39 x 39 patches
        (None, (32, 32), 3),
    ],
)
def test_the_published_price_of_an_image(model: str | None, size: tuple[int, int], tokens: int) -> None:
    """Tiles, or patches of which there are at most 1,536."""
    assert image_tokens(url(png(*size)), "high", model) == tokens


@given(st.integers(1, 5_000), st.integers(1, 5_000), st.sampled_from(["gpt-4o", "gpt-5", "o4-mini", "gpt-4.1-nano"]))
def test_no_image_costs_more_than_one_of_unknown_size(wide: int, high: int, model: str) -> None:
    """So the estimate is never too low."""
    assert 0 < image_tokens(url(png(wide, high)), None, model) <= image_tokens(None, None, model)


def test_the_model_can_be_the_third_argument() -> None:
    """As in `count_tokens`."""
    assert trim([FIRST], 9, "gpt-4o") == trim([FIRST], 9, model="gpt-4o") == [FIRST]
