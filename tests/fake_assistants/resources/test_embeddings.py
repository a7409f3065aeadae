"""Embeddings and models: the same on every run, and of the right size."""

import base64
import math
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_assistants import FakeAssistants, Reply
from fake_assistants.resources.embeddings import _vector
from staging import Stage

Ask = Callable[..., Reply]

INPUTS = st.one_of(st.text(min_size=1), st.lists(st.integers(0, 200_000), min_size=1))


def embedded(ask: Ask, **body: Any) -> Any:
    return ask("POST", "/v1/embeddings", {"model": "text-embedding-3-small", "input": "x", **body}).json()


@given(INPUTS, st.integers(1, 3_072))
def test_a_vector_is_of_length_one(given: Any, size: int) -> None:
    """Of the size that is asked for, and the same each time."""
    vector = _vector(given, size)
    assert len(vector) == size
    assert math.isclose(sum(number * number for number in vector), 1, rel_tol=1e-5)
    assert vector == _vector(given, size)


@given(st.lists(INPUTS, min_size=1, max_size=4), st.integers(1, 64))
def test_inputs_do_not_matter_to_one_another(inputs: list[Any], size: int) -> None:
    """Together or alone, as numbers or as base64: each has the same vector at its index."""
    ask = Stage(FakeAssistants()).ask
    body = {"model": "m", "dimensions": size}
    together = ask("POST", "/embeddings", {**body, "input": inputs})["data"]
    assert [row["index"] for row in together] == list(range(len(inputs)))
    for row, one in zip(together, inputs, strict=True):
        assert ask("POST", "/embeddings", {**body, "input": one})["data"][0]["embedding"] == row["embedding"]
        text = ask("POST", "/embeddings", {**body, "input": one, "encoding_format": "base64"})["data"][0]["embedding"]
        assert list(struct.unpack(f"<{size}f", base64.b64decode(text))) == row["embedding"]


def test_an_answer_in_full(ask: Ask) -> None:
    """Documented key order; the vector of a text never changes."""
    answer = embedded(ask, input="Hello there", dimensions=3)
    assert list(answer) == ["object", "data", "model", "usage"]
    assert (answer["object"], answer["model"]) == ("list", "text-embedding-3-small")
    assert answer["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    (row,) = answer["data"]
    assert list(row) == ["object", "index", "embedding"]
    assert [round(number, 4) for number in row["embedding"]] == [-0.8018, -0.2673, -0.5345]


@pytest.mark.parametrize(
    ("model", "size"),
    [("text-embedding-3-small", 1536), ("text-embedding-3-large", 3072), ("text-embedding-ada-002", 1536), ("m", 1536)],
)
def test_each_model_has_its_size(ask: Ask, model: str, size: int) -> None:
    """Documented."""
    assert len(embedded(ask, model=model)["data"][0]["embedding"]) == size


def test_texts_that_share_words_are_near() -> None:
    """Nearer than texts that share none; case does not matter."""
    asked, near, far = (_vector(text, 512) for text in ("vacation days", "30 Days of vacation.", "fish on Friday"))
    assert math.dist(asked, near) < math.dist(asked, far)


@pytest.mark.parametrize("given", ["", [], [""], ["a", ""], [[]], [["a"]], 5, None, [1.5], [True], ["a"] * 2_049])
def test_an_input_that_is_none_is_refused(ask: Ask, given: Any) -> None:
    """In the words of that route."""
    error = embedded(ask, input=given)["error"]
    assert error["message"].startswith("'$.input' is invalid. Please check the API reference")
    assert (error["param"], error["code"]) == (None, None)


def test_other_refusals(ask: Ask) -> None:
    """Dimensions where a model has only its own, or too many; an unknown format; no model."""
    text = embedded(ask, model="text-embedding-ada-002", dimensions=8)["error"]["message"]
    assert text == "This model does not support specifying dimensions."
    assert embedded(ask, dimensions=4_000)["error"]["code"] == "integer_above_max_value"
    assert embedded(ask, encoding_format="hex")["error"]["param"] == "encoding_format"
    assert ask("POST", "/v1/embeddings", {"input": "x"}).json()["error"]["param"] == "model"


def test_models_are_listed_and_retrieved(ask: Ask) -> None:
    """Each in the documented key order; another one is unknown."""
    listed = ask("GET", "/v1/models").json()
    assert list(listed) == ["object", "data"]
    for model in listed["data"]:
        assert list(model) == ["id", "object", "created", "owned_by"]
        assert ask("GET", f"/v1/models/{model['id']}").json() == model
    reply = ask("GET", "/v1/models/gpt-0")
    assert (reply.status, reply.json()["error"]) == (
        404,
        {
            "message": "The model 'gpt-0' does not exist",
            "type": "invalid_request_error",
            "param": "model",
            "code": "model_not_found",
        },
    )
    assert ask("DELETE", "/v1/models/gpt-4o").status == 405


def test_the_models_that_are_accepted_are_the_ones_that_there_are() -> None:
    """A fake that refuses every other model lists no other either."""
    stage = Stage(FakeAssistants(models=["gpt-4o-mini", "my-model"]))
    assert [model["id"] for model in stage.ask("GET", "/models")["data"]] == ["gpt-4o-mini", "my-model"]
    assert stage.ask("GET", "/models/my-model")["id"] == "my-model"
    assert stage.refused("GET", "/models/gpt-4.1") == (404, "The model 'gpt-4.1' does not exist")
