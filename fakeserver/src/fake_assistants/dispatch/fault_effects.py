"""What an injected fault does to a request and its answer."""

from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus

import attrs

import fake_assistants.errors.server as errors
from fake_assistants.dispatch.azure import permission_denied
from fake_assistants.engine.backend import Backend
from fake_assistants.errors.azure import access_denied, call_rate_exceeded
from fake_assistants.http.error_envelope import ErrorBody
from fake_assistants.http.lossless_json import dumps
from fake_assistants.http.message import Chunk, Cut, Pairs, Reply, Request
from fake_assistants.simulation.fault_injector import FaultHit
from fake_assistants.simulation.fault_plan import BODILESS, FaultAction
from fake_assistants.simulation.page_rewrites import REWRITES, page_of
from fake_assistants.simulation.profiles import Place

CarryOut = Callable[[], Reply]

# A reply that nobody gets; the request log shows this status for it.
_NO_ANSWER = Reply(0, hang_up=True)


def answered(backend: Backend, request: Request, carry_out: CarryOut) -> tuple[Reply, str | None]:
    """The answer to a request, and the name of its fault, if there is one."""
    strike = backend.faults.strike(request)
    if strike is None:
        reply, fault = carry_out(), None
    else:
        reply, fault = _inflicted(backend, request, strike, carry_out)
    backend.faults.remember(request, reply)
    return reply, fault


def _inflicted(backend: Backend, request: Request, strike: FaultHit, carry_out: CarryOut) -> tuple[Reply, str | None]:
    do = strike.do
    if do.status is not None:
        reply, name = _told(backend, do, _problems(request, backend.place(request))), f"status {do.status}"
    elif do.drop == "before":
        reply, name = _NO_ANSWER, "drop before"
    else:
        reply, name = _spoiled(backend, request, strike, carry_out())
    names = [name, "delay" if do.delay else ""]
    return attrs.evolve(reply, delay=reply.delay + do.delay), ", ".join(filter(None, names)) or None


def _spoiled(backend: Backend, request: Request, strike: FaultHit, reply: Reply) -> tuple[Reply, str]:
    """A carried-out answer, broken as it was told."""
    do = strike.do
    if do.drop is not None:
        return _broken(reply, do.after), f"drop {do.drop}"
    if do.truncate is not None:
        return _truncated(reply, do.truncate), "truncate"
    if do.rewrite is None:  # a delay alone
        return reply, ""
    rewritten = _rewritten(backend, request, do.rewrite, reply)
    if rewritten is not None:
        return rewritten, f"rewrite {do.rewrite}"
    strike.take_back()
    return reply, ""


# --- instead of an answer ---------------------------------------------------------------------------------


def _told(backend: Backend, do: FaultAction, problems: "_Problems") -> Reply:
    """The status that was asked for, with its own body or the real one."""
    status = do.status or 0
    headers, body = (_own_headers(backend, do), do.body) if do.body is not None else _real(backend, status, problems)
    given = {name for name, _ in do.headers}
    kept = tuple((name, value) for name, value in headers if name not in given)
    return Reply(status, (*kept, *do.headers), body)


def _own_headers(backend: Backend, do: FaultAction) -> Pairs:
    """A web page came from the edge, and what is empty too: without the API's own headers."""
    if do.content_type is None:
        return ()
    from_edge = do.content_type == "text/html"
    return (("content-type", do.content_type),) if from_edge else backend.headers(do.content_type)


def _real(backend: Backend, status: int, problems: "_Problems") -> tuple[Pairs, bytes]:
    """Headers and body as the real API answered with this status."""
    if status in BODILESS:
        return (), b""
    if status in _PAGES:
        return (("content-type", "text/html"),), _edge_page(f"{status} {_PAGES[status]}")
    headers = backend.headers()
    request_id = dict(headers)["x-request-id"]
    problem = problems[status](request_id) if status in problems else errors.told_to(status, _phrase(status))
    return headers, problem.body()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


_PAGES = {502: "Bad Gateway", 504: "Gateway Time-out"}


def _edge_page(title: str) -> bytes:
    """The edge's own page, when what stands behind it fails. Recorded for 502, inferred for 504."""
    lines = (
        "<html>",
        f"<head><title>{title}</title></head>",
        "<body>",
        f"<center><h1>{title}</h1></center>",
        "<hr><center>cloudflare</center>",
        "</body>",
        "</html>",
    )
    return "".join(f"{line}\r\n" for line in lines).encode()


# What each status says. Takes a request id.
_Problems = Mapping[int, Callable[[str], ErrorBody]]

# Recorded: the limit of 3 a minute with which the real text was seen.
_REAL: _Problems = {
    429: lambda _: errors.rate_limited(3, 20).problem,
    500: errors.server_error,
    503: lambda _: errors.overloaded(),
}


def _problems(request: Request, place: Place) -> _Problems:
    """The real answers of the service that is asked."""
    if not place.base.is_azure:
        return _REAL
    azures: _Problems = {**_REAL, 401: lambda _: access_denied().problem, 429: lambda _: call_rate_exceeded(20)}
    if not place.base.is_project:
        return azures
    return {**azures, 401: lambda _: permission_denied(request, place)}


# --- in place of the whole answer --------------------------------------------------------------------------


def _broken(reply: Reply, after: int) -> Reply:
    """The first half of the body and its true length, or the first chunks of a stream; then the connection breaks."""
    if reply.chunks is not None:
        return attrs.evolve(reply, chunks=_first_chunks(reply.chunks, after))
    half, length = reply.body[: len(reply.body) // 2], str(len(reply.body))
    chunks: tuple[Chunk, ...] = (half, Cut())
    return attrs.evolve(reply, headers=(*reply.headers, ("content-length", length)), body=b"", chunks=iter(chunks))


def _truncated(reply: Reply, size: int) -> Reply:
    """The first bytes, as if that were all."""
    if reply.chunks is not None:
        return attrs.evolve(reply, chunks=_first_bytes(reply.chunks, size))
    return attrs.evolve(reply, body=reply.body[:size])


def _first_chunks(chunks: Iterator[Chunk], count: int) -> Iterator[Chunk]:
    """So many chunks, then the break. The rest is taken unseen: the server goes on with what it does."""
    for chunk in chunks if count else ():
        yield chunk
        count -= isinstance(chunk, bytes)
        if count == 0:
            break
    _exhaust(chunks)
    yield Cut()


def _first_bytes(chunks: Iterator[Chunk], size: int) -> Iterator[Chunk]:
    """So many bytes and a proper end. The rest is taken unseen."""
    for chunk in chunks if size else ():
        yield chunk[:size] if isinstance(chunk, bytes) else chunk
        size -= len(chunk) if isinstance(chunk, bytes) else 0
        if size <= 0:
            break
    _exhaust(chunks)


def _exhaust(chunks: Iterator[Chunk]) -> None:
    for _ in chunks:
        pass


def _rewritten(backend: Backend, request: Request, rewrite: str, reply: Reply) -> Reply | None:
    page = page_of(request, reply)
    if page is None:
        return None
    changed = REWRITES[rewrite](request, page, backend.faults.remembered(request))
    return None if changed is None else attrs.evolve(reply, body=dumps(changed))
