"""What the calls from Python share that ask an API: an event loop, a listener, a client, and checks of arguments."""

import asyncio
import contextlib
import functools
import inspect
import operator
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from threadkeep.api.client import PacingOptions
from threadkeep.api.endpoints import Api, ApiSource
from threadkeep.api.tokens import TokenCommand
from threadkeep.arguments import A_FUNCTION, A_STR, A_WHOLE_NUMBER, refuse_wrong_types
from threadkeep.errors import Interrupted

if TYPE_CHECKING:
    from openai import AsyncOpenAI  # noqa: TID251 - its name only, for type checkers

__all__ = [
    "CONCURRENCY",
    "DEFAULT_CONCURRENCY",
    "DEFAULT_RETRIES",
    "RETRIES",
    "connected",
    "in_own_loop",
    "refuse_out_of_bounds",
    "refuse_wrong_call",
    "run_to_its_end",
]

CONCURRENCY, DEFAULT_CONCURRENCY = (1, 256), 64
"""The fewest threads at a time, and the most; and how many where nothing else is given."""

RETRIES, DEFAULT_RETRIES = (0, 100), PacingOptions().max_retries
"""The same for retries of a request."""

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Event = TypeVar("_Event")

_PLAIN = "on_event must be a plain function: what it returns is not awaited"


def in_own_loop(call: Callable[_P, Coroutine[Any, Any, _T]]) -> Callable[_P, _T]:
    """Give a coroutine function the form of a plain one: the same arguments, its name without the "a", its docstring.

    It closes a ``client`` that it is given.

    Raises, when it is called:
        RuntimeError: an event loop is running.
    """

    @functools.wraps(call)
    def plain(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        async def closing() -> _T:
            # A client's connections live in this loop. What is no client of this kind is refused by the call, in words.
            client: Any = kwargs.get("client")
            async with client if hasattr(client, "__aexit__") else contextlib.nullcontext():
                return await call(*args, **kwargs)

        if asyncio._get_running_loop() is not None:  # noqa: SLF001 - the one without an exception
            raise RuntimeError(f"an event loop is running here: use `await threadkeep.{call.__name__}(...)`")
        return asyncio.run(closing())

    plain.__name__ = plain.__qualname__ = call.__name__.removeprefix("a")
    plain.__doc__ = f"{inspect.cleandoc(call.__doc__ or '')}\n\n{_IN_OWN_LOOP.format(call.__name__)}"
    return plain


_IN_OWN_LOOP = """This call runs an event loop of its own, for code that has none:

* A ``client`` is closed when it returns, since its connections live in that loop.
* Where an event loop is running already, it raises RuntimeError: use ``await {}(...)`` there.
* Ctrl-C raises KeyboardInterrupt, in the place of CancelledError.
"""


async def run_to_its_end(
    work: Callable[[Callable[[_Event], None]], Awaitable[_T]], on_event: Callable[[_Event], object] | None
) -> _T:
    """Run a job. What ``on_event`` raises cancels it, so that it ends in order, and is raised then.

    Args:
        work: does the job, and sends its events to what it is given. It catches a cancellation, of somebody else too;
            since the caller needs that one, it is raised again if the result has it in ``ended_by``.
        on_event: the listener; None for none.
    """
    task, raised = asyncio.current_task(), list[BaseException]()
    assert task is not None

    def listen(event: _Event) -> None:
        if on_event is None or raised:
            return
        try:
            answer = on_event(event)
            if inspect.iscoroutine(answer):
                answer.close()
                raise TypeError(_PLAIN)
        except BaseException as error:  # noqa: BLE001 - raised to the caller when the files are in order
            raised.append(error)
            task.cancel()

    try:
        result = await work(listen)
        if isinstance(ended_by := getattr(result, "ended_by", None), Interrupted):
            raise ended_by
    except Interrupted:
        raise asyncio.CancelledError from None
    finally:
        if raised:
            task.uncancel()
            with contextlib.suppress(asyncio.CancelledError):  # one that has met no await yet
                await asyncio.sleep(0)
            raise raised[0]
    return result


@contextlib.asynccontextmanager
async def connected(
    client: "AsyncOpenAI | None",
    source: ApiSource,
    *,
    api: Api = Api.ASSISTANTS,
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[Sequence[Any]]:
    """Yield a transport for each key of a source, or one with the caller's own client, which is not closed."""
    # Only here, since importing the SDK takes most of a second.
    from threadkeep.api.transport import connect_all, wrap_client

    if client is not None:
        yield [wrap_client(client, api=api, headers=headers)]
        return
    command = source.token_command
    async with contextlib.AsyncExitStack() as opened:
        token = None if command is None else await TokenCommand(command).run_async()
        # Aside, since to make clients takes a while.
        connect = functools.partial(connect_all, source, token, api=api, headers=headers)
        yield [await opened.enter_async_context(one) for one in await asyncio.to_thread(connect)]


_CALL_TYPES: Mapping[str, tuple[Any, str]] = {
    **dict.fromkeys(("concurrency", "max_retries", "rpm"), A_WHOLE_NUMBER),
    "source": (ApiSource, "a threadkeep.ApiSource"),
    **dict.fromkeys(("base_url", "api_key"), A_STR),
    "on_event": A_FUNCTION,
}
"""What the arguments of all these calls must be, in words. Mistakes of type would come out as something else later."""

_OPTIONAL = frozenset({"source", "base_url", "api_key", "rpm", "on_event"})


def refuse_wrong_call(
    arguments: Mapping[str, Any], types: Mapping[str, tuple[Any, str]], optional: frozenset[str]
) -> None:
    """Raise TypeError for an argument of the wrong type, or two that say where to ask.

    Args:
        arguments: all of the call, by their names.
        types: of those that only this call has.
        optional: the names of those that may be None.
    """
    refuse_wrong_types(arguments, {**types, **_CALL_TYPES}, optional | _OPTIONAL)
    if inspect.iscoroutinefunction(arguments["on_event"]):
        raise TypeError(_PLAIN)
    ways = {"client": ("client",), "source": ("source",), "base_url or api_key": ("base_url", "api_key")}
    given = [way for way, names in ways.items() if any(arguments[name] is not None for name in names)]
    if len(given) > 1:
        raise TypeError(f"give {' or '.join(given)}, not both: each says where to ask, and with what")


def refuse_out_of_bounds(arguments: Mapping[str, Any], more: Mapping[str, tuple[int, int | None]]) -> None:
    """Raise ValueError for a number that is too small or too large; ``more`` has the bounds of further arguments."""
    bounds = {"concurrency": CONCURRENCY, "max_retries": RETRIES, "rpm": (1, None), **more}
    for name, (fewest, most) in bounds.items():
        number = arguments[name]
        if number is not None and not fewest <= operator.index(number) <= (most or number):
            allowed = f"at least {fewest}" if most is None else f"{fewest} to {most}"
            raise ValueError(f"{name} is {number}: it must be {allowed}")
