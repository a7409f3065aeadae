"""A push to servers that refuse a part of it: by its size, by a firewall, by a web page, by a redirect."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from openai import AsyncOpenAI

from canned import HTTP
from command import Run
from exporting import threads_of
from exports import beside
from pushes import ADDRESSES, Target, export_of, rows_of_map
from threadkeep.errors import ServerUnreachable
from watched import Watched

Refuse = Callable[[Any], Any]


class RefusingTransport(HTTP.AsyncBaseTransport):  # type: ignore[misc]  # which library it is depends on the SDK
    """Asks a function for an answer first, and the server where that gives none."""

    def __init__(self, honest: Any, refuse: Refuse) -> None:
        self._honest, self._refuse = honest, refuse

    async def handle_async_request(self, request: Any) -> Any:
        """Answer a request."""
        await request.aread()
        return self._refuse(request) or await self._honest.handle_async_request(request)


@attrs.define
class RefusingTarget(Target):
    """A server behind something that refuses requests."""

    refuse: Refuse = attrs.field(kw_only=True)

    def client(self, key: str = "sk-test") -> AsyncOpenAI:
        """A caller's client that reaches it."""
        transport = RefusingTransport(self.fake.async_transport(), self.refuse)
        return AsyncOpenAI(
            api_key=key, base_url=ADDRESSES[self.kind], http_client=HTTP.AsyncClient(transport=transport)
        )


def items_of(request: Any) -> list[Any]:
    """The items that a request adds."""
    adds = request.method == "POST" and request.url.path.endswith("/items")
    return json.loads(request.content)["items"] if adds else []


@pytest.mark.parametrize("most", [1, 7, 19])
def test_requests_that_are_too_large_are_cut(most: int, tmp_path: Path) -> None:
    """Until the server takes them, and in order."""
    target = RefusingTarget(refuse=lambda request: HTTP.Response(413) if len(items_of(request)) > most else None)
    out = export_of(tmp_path, threads_of(a=45, b=3))
    result = target.push(out, verify=True)
    assert (result.is_complete, result.verified, result.items) == (True, 2, 48)


def test_an_item_that_is_too_large_alone_is_named_with_its_thread(tmp_path: Path) -> None:
    """The other threads are sent."""
    target = RefusingTarget(refuse=lambda request: HTTP.Response(413) if len(items_of(request)) == 1 else None)
    out = export_of(tmp_path, threads_of(a=1, b=2))
    result = target.push(out)
    assert [thread_id for thread_id, _ in result.problems] == ["thread_a"]
    assert [*rows_of_map(out)] == ["thread_b"]


def test_a_text_that_a_firewall_refuses_ends_its_thread_only(tmp_path: Path) -> None:
    """It is named with the items; every later push tries it again, and sends the others."""

    def firewall(request: Any) -> Any:
        return HTTP.Response(403, text="<html>blocked</html>") if b"number 30" in request.content else None

    target = RefusingTarget(refuse=firewall)
    out = export_of(tmp_path, threads_of(a=3, b=31, c=5, d=2))
    for _ in range(2):
        result = target.push(out, concurrency=1)
        ((thread_id, why),) = result.problems
        assert (thread_id, result.ended_by) == ("thread_b", None)
        assert "items 21 to 31 of conv_" in why
    assert [*rows_of_map(out)] == ["thread_a", "thread_c", "thread_d"]


def test_a_web_page_binds_no_export(tmp_path: Path) -> None:
    """An address that answers everything with one is not an API: nothing may have been created there."""
    page = HTTP.Response(200, text="<html>Welcome</html>", headers={"content-type": "text/html"})
    target = RefusingTarget(refuse=lambda _request: page)
    out = export_of(tmp_path, threads_of(**dict.fromkeys("abcdefghijklmnopqrstuvwxyz", 1)))
    result = target.push(out, concurrency=4)
    assert (result.pushed, result.leftovers) == (0, ())
    assert isinstance(result.ended_by, ServerUnreachable)
    assert not beside(out, ".push").exists()


def test_a_redirect_is_not_followed(fake: Watched, base_url: str, tmp_path: Path, threadkeep: Run) -> None:
    """Whoever is there would get the messages."""
    out = export_of(tmp_path, threads_of(a=1))
    location = {"location": "http://elsewhere.example/v1/conversations?token=s3cret"}
    fake.faults = [{"match": {"method": "POST"}, "do": {"status": 307, "headers": location}}]
    done = threadkeep("push", out, "--to", "conversations", "--base-url", base_url)
    assert done.code == 2
    assert "it redirects to elsewhere.example, and messages are sent to no other address" in done.err
    assert "s3cret" not in done.err
    assert not beside(out, ".push").exists()


@pytest.mark.parametrize("kind", ["openai", "foundry"])
def test_ids_that_cannot_be_kept_are_no_answer(kind: str, tmp_path: Path) -> None:
    """Half of a surrogate pair fits into no store."""

    def odd(request: Any) -> Any:
        is_creation = request.method == "POST" and request.url.path.endswith("/conversations")
        body = '{"id": "conv_\\ud800", "object": "conversation", "metadata": {}}'
        return HTTP.Response(200, content=body.encode()) if is_creation else None

    target = RefusingTarget(kind, refuse=odd)
    out = export_of(tmp_path, threads_of(a=1))
    result = target.push(out)
    assert not result.is_complete
    assert target.items == {}
