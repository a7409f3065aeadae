"""No message shows a key, or a part of one, in whatever form a server echoes it."""

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canned import HTTP, async_client
from threadkeep.api.client import ApiClient, PacingOptions
from threadkeep.api.endpoints import OTHER, Endpoint
from threadkeep.api.secrets import Secrets
from threadkeep.api.transport import Transport
from threadkeep.errors import ApiError, RequestFailed

pytestmark = pytest.mark.anyio

KEY = "sk-proj-Zq7+Xy/2wLmN0pR=="
KEYS = st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), min_size=8, max_size=60)
FORMS: list[Callable[[str], str]] = [
    str,
    lambda key: f"Bearer {key}",
    lambda key: quote(key, safe=""),
    lambda key: base64.b64encode(key.encode()).decode(),
    lambda key: key[:-3],
    lambda key: key[3:],
]


@given(KEYS, st.sampled_from(FORMS[:4]), st.text(max_size=200), st.text(max_size=200), st.binary(max_size=300))
def test_what_is_quoted_never_shows_a_secret(
    key: str, form: Callable[[str], str], before: str, after: str, noise: bytes
) -> None:
    """Wherever it stands, so that it may be cut in the middle; as the message of an error, or in any other body."""
    secrets, echoed = Secrets(), form(key)
    secrets.add(key)
    for quoted in (before + echoed + after, noise + echoed.encode() + after.encode("utf-8", "replace")):
        shown = str(secrets.finish(RequestFailed(f"what {echoed}", quoted=quoted), "http://here/v1"))
        for start in range(len(echoed) - 7):
            part = echoed[start : start + 8]
            assert part not in shown or part in "http://here/v1 Bearer [key][key] an empty body"


@given(st.text(max_size=300), KEYS)
def test_a_text_without_it_stays_as_it_is(text: str, key: str) -> None:
    """Also where the key is short, or a word."""
    secrets = Secrets()
    secrets.add(key, "abc", None, "")
    if not any(form in text for form in (key[:8], key[-8:], *(key[at : at + 8] for at in range(len(key))))):
        assert secrets.clean(text) == text
    assert not secrets.are_in(["abc", "msg_abc", ""])


@given(KEYS, st.sampled_from(FORMS), st.data())
def test_an_id_that_shows_half_a_key_is_noticed(key: str, form: Callable[[str], str], data: st.DataObject) -> None:
    """Fifteen letters of it or all of it, in whatever form and wherever in the id."""
    secrets, echoed = Secrets(), form(key)
    secrets.add(key)
    begin = data.draw(st.integers(0, max(0, len(echoed) - 15)))
    part = echoed[begin : begin + 15] if len(echoed) >= 15 else key
    assert secrets.are_in(["msg_1", f"msg_{part}"]) or " " in part


BODIES: dict[str, tuple[int, Callable[[str], object]]] = {
    "an error": (400, lambda key: {"error": {"message": f"Incorrect API key provided: {key}"}}),
    "a long error": (400, lambda key: {"error": {"message": "x" * 490 + key}}),
    "a foreign error": (500, lambda key: "x" * 100 + key),
    "no page": (200, lambda key: f"you sent {key}"),
    "another object": (200, lambda key: {"seen": key}),
    "another thread": (200, lambda key: {"data": [{"id": "msg_1", "thread_id": key}], "has_more": False}),
    "an id": (200, lambda key: {"data": [{"id": key, "thread_id": "thread_x"}], "has_more": False}),
    "a cursor": (200, lambda key: {"data": [], "has_more": True, "last_id": key}),
    "no number": (200, lambda key: {"data": [], "has_more": key}),
    "a redirect": (302, lambda key: key),
    "a refusal": (401, lambda key: {"detail": [{"msg": f"bad {key}"}]}),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", BODIES)
async def test_no_answer_makes_a_message_show_the_key(name: str, form: Callable[[str], str]) -> None:
    """Whatever the status is, and whether the answer is a page or none."""
    status, body = BODIES[name]
    echoed = body(form(KEY))
    content = echoed.encode() if isinstance(echoed, str) else json.dumps(echoed).encode()
    transport = Transport(async_client(lambda _request: HTTP.Response(status, content=content), api_key=KEY))
    client = ApiClient(transport, PacingOptions(max_retries=0))
    with pytest.raises(ApiError) as caught:
        async for _ in client.walk("/threads/thread_x/messages", thread_id="thread_x"):
            pass
    assert KEY[:8] not in str(caught.value)
    assert KEY[-8:] not in str(caught.value)
    assert form(KEY)[:12] not in str(caught.value)


async def test_a_password_of_the_address_is_sent_in_base64() -> None:
    """And may come back so."""
    password: Any = "user:pa55word-long"
    sent = base64.b64encode(password.encode()).decode()
    endpoint = Endpoint(provider=OTHER, base_url=f"https://{password}@api.test/v1", query={})
    transport = Transport(async_client([HTTP.Response(500, content=sent.encode())]), endpoint=endpoint)
    with pytest.raises(ApiError) as caught:
        await transport.get("/threads/thread_x/messages", {})
    assert str(transport.finish(caught.value)) == "500 from https://api.test/v1: [key]"


@pytest.mark.parametrize("shown", ["sk-mine*******cret", "sk-*****", "****cret", "sk-mine-very***"])
def test_a_key_that_the_server_has_half_hidden_is_hidden_whole(shown: str) -> None:
    """Its beginning and its end are shorter than what counts as a part, and are parts of it all the same."""
    secrets = Secrets()
    secrets.add("sk-mine-very-secret")
    assert secrets.clean(f"Incorrect API key provided: {shown}. See 'https://x/y'.") == (
        "Incorrect API key provided: [key]. See 'https://x/y'."
    )
