"""Apply injected faults to requests and their replies."""

from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus

import attrs

import fake_assistants.dispatch.azure as azure
import fake_assistants.errors.server as errors
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

# No reply is sent; the request log shows this status.
_NO_ANSWER = Reply(0, hang_up=True)


@attrs.frozen
class Outcome:
    """What a client gets, the name of the fault if there was one, and whether the request was carried out."""

    reply: Reply
    fault: str | None = None
    executed: bool = True


def apply(backend: Backend, request: Request, carry_out: CarryOut) -> Outcome:
    """Carry out a request with its fault, if it has one."""
    hit = backend.faults.strike(request)
    outcome = Outcome(carry_out()) if hit is None else _apply(backend, request, hit, carry_out)
    backend.faults.remember(request, outcome.reply)
    return outcome


def _apply(backend: Backend, request: Request, hit: FaultHit, carry_out: CarryOut) -> Outcome:
    action = hit.do
    is_replaced = action.status is not None or action.drop in ("before", "answer")
    executed = not is_replaced or action.executed or action.drop == "answer"
    carried_out = carry_out() if executed else None
    if is_replaced or carried_out is None:
        reply, name = _replacement(backend, request, action, carried_out)
    else:
        reply, name = _change_reply(backend, request, hit, carried_out)
    names = [name, "delay" if action.delay else ""]
    fault = ", ".join(filter(None, names)) or None
    return Outcome(attrs.evolve(reply, delay=reply.delay + action.delay), fault, executed)


def _change_reply(backend: Backend, request: Request, hit: FaultHit, reply: Reply) -> tuple[Reply, str]:
    """Change the reply to a request that was carried out. Return it and the name of the fault."""
    action = hit.do
    if action.drop is not None:
        return _broken(reply, action.after), f"drop {action.drop}"
    if action.truncate is not None:
        return _truncated(reply, action.truncate), "truncate"
    if action.rewrite is None:  # only a delay
        return reply, ""
    rewritten = _rewritten(backend, request, action.rewrite, reply)
    if rewritten is not None:
        return rewritten, f"rewrite {action.rewrite}"
    hit.take_back()
    return reply, ""


# --- in place of the reply ----------------------------------------------------------------------------


def _replacement(
    backend: Backend, request: Request, action: FaultAction, carried_out: Reply | None
) -> tuple[Reply, str]:
    """Return what comes in place of the reply, if there is one, and the name of the fault."""
    if carried_out is not None and carried_out.chunks is not None:
        _exhaust(carried_out.chunks)
    unrouted = carried_out is not None and carried_out.unrouted
    if action.status is None:
        return attrs.evolve(_NO_ANSWER, unrouted=unrouted), f"drop {action.drop}"
    reply = _status_reply(backend, action, request)
    return attrs.evolve(reply, unrouted=unrouted), f"status {action.status}"


def _status_reply(backend: Backend, action: FaultAction, request: Request) -> Reply:
    """Return the status of the fault, with the body of the plan or that of the real API."""
    status = action.status or 0
    headers, body = (
        (_own_headers(backend, action), action.body) if action.body is not None else _real(backend, status, request)
    )
    planned = {name for name, _ in action.headers}
    others = tuple((name, value) for name, value in headers if name not in planned)
    return Reply(status, (*others, *action.headers), body)


def _own_headers(backend: Backend, action: FaultAction) -> Pairs:
    """Return the headers of a planned body. Web pages and empty bodies have no API headers."""
    if action.content_type is None:
        return ()
    is_from_cdn = action.content_type == "text/html"
    return (("content-type", action.content_type),) if is_from_cdn else backend.headers(action.content_type)


def _real(backend: Backend, status: int, request: Request) -> tuple[Pairs, bytes]:
    """Return the headers and the body with which the real API sent this status."""
    if status in BODILESS:
        return (), b""
    if status in _PAGES:
        return (("content-type", "text/html"),), _cdn_page(f"{status} {_PAGES[status]}")
    headers, place = backend.headers(), backend.place(request)
    request_id, problems = dict(headers)["x-request-id"], _problems(request, place)
    problem = problems[status](request_id) if status in problems else errors.asked_for(status, _phrase(status))
    return headers, azure.in_envelope(problem, place).body()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


_PAGES = {502: "Bad Gateway", 504: "Gateway Time-out"}


def _cdn_page(title: str) -> bytes:
    """Return the error page of the CDN when the API behind it fails. Recorded for 502, inferred for 504."""
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


# The error of each status, made from a request id.
_Problems = Mapping[int, Callable[[str], ErrorBody]]

# Recorded: the text was seen with a limit of 3 requests a minute.
_REAL: _Problems = {
    429: lambda _: errors.rate_limited(3, 20).problem,
    500: errors.server_error,
    503: lambda _: errors.overloaded(),
}


def _problems(request: Request, place: Place) -> _Problems:
    """Return the real errors of the service that is addressed."""
    if not place.base.is_azure:
        return _REAL
    azures: _Problems = {**_REAL, 401: lambda _: access_denied().problem, 429: lambda _: call_rate_exceeded(20)}
    if not place.base.is_project:
        return azures
    return {**azures, 401: lambda _: azure.permission_denied(request, place)}


# --- changed replies --------------------------------------------------------------------------


def _broken(reply: Reply, after: int) -> Reply:
    """Send half of the body with its full length, or the first chunks of a stream, then break the connection."""
    if reply.chunks is not None:
        return attrs.evolve(reply, chunks=_first_chunks(reply.chunks, after))
    half, length = reply.body[: len(reply.body) // 2], str(len(reply.body))
    chunks: tuple[Chunk, ...] = (half, Cut())
    return attrs.evolve(reply, headers=(*reply.headers, ("content-length", length)), body=b"", chunks=iter(chunks))


def _truncated(reply: Reply, size: int) -> Reply:
    """Send the first bytes as a complete reply."""
    if reply.chunks is not None:
        return attrs.evolve(reply, chunks=_first_bytes(reply.chunks, size))
    return attrs.evolve(reply, body=reply.body[:size])


def _first_chunks(chunks: Iterator[Chunk], count: int) -> Iterator[Chunk]:
    """Yield `count` chunks, then the break. The rest is consumed, so that the server completes the request."""
    for chunk in chunks if count else ():
        yield chunk
        count -= isinstance(chunk, bytes)
        if count == 0:
            break
    _exhaust(chunks)
    yield Cut()


def _first_bytes(chunks: Iterator[Chunk], size: int) -> Iterator[Chunk]:
    """Yield `size` bytes, then end normally. The rest is consumed."""
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
