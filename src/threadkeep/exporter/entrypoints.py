"""The export from Python: what ``threadkeep export`` does, with a caller's own client, and a result in its types.

``aexport`` is the export; ``export`` is the same for code without an event loop.
"""

import asyncio
import contextlib
import functools
import inspect
import operator
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ParamSpec, SupportsIndex, TypeVar

from threadkeep.api.client import PacingOptions
from threadkeep.api.endpoints import ApiSource
from threadkeep.api.keys import Key
from threadkeep.api.tokens import TokenCommand
from threadkeep.clock import now
from threadkeep.errors import Interrupted, OutputUnusable, UnreadableIds
from threadkeep.exporter.events import Event
from threadkeep.exporter.job import (
    CONCURRENCY,
    DEFAULT_CONCURRENCY,
    DEFAULT_RETRIES,
    RETRIES,
    ExportResult,
    Job,
    carry_out,
)
from threadkeep.serialization.id_lists import is_thread_id, iter_ids
from threadkeep.storage.paths import SIDECAR_KINDS, Paths
from threadkeep.storage.session import ThreadList

if TYPE_CHECKING:
    from openai import AsyncOpenAI  # noqa: TID251 - its name only, for type checkers

__all__ = ["ExportResult", "aexport", "export"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def aexport(
    thread_ids: Iterable[str] | str | os.PathLike[str],
    assistant_id: str,
    out: str | os.PathLike[str],
    *,
    client: "AsyncOpenAI | None" = None,
    source: ApiSource | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    flat: bool = False,
    include: Iterable[str] = (),
    files: bool = False,
    concurrency: int = DEFAULT_CONCURRENCY,
    rpm: int | None = None,
    max_retries: int = DEFAULT_RETRIES,
    fresh: bool = False,
    refresh: bool = False,
    done: Iterable[str] = (),
    drop: Iterable[str] = (),
    limit: int | None = None,
    on_event: Callable[[Event], object] | None = None,
) -> ExportResult:
    """Export threads to NDJSON, or resume the export that is there.

    Args:
        thread_ids: ids; or the path, as a str too, of a file of ids as the command takes it. An id that is given twice
            is exported once.
        assistant_id: the assistant that the export is for; "auto" for each thread's own.
        out: where it goes. Its index and its manifest are written next to it.
        client: asked through with its own key, address, headers, connections and timeout, and not closed. Its retries
            are left out: the export has its own.
        source: in place of ``base_url`` and ``api_key``, where there are several keys, a token command, or Azure.
        base_url: where ``/threads`` begins; None for ``OPENAI_BASE_URL``, else OpenAI's own.
        api_key: None for one of the environment.
        flat: write the six flat keys only.
        include: what to save next to the messages: ``threads``, ``runs``.
        files: download the files that messages refer to, and steps where runs are saved.
        concurrency: threads at a time, 1 to 256.
        rpm: requests a minute at most; None for a pace that is found.
        max_retries: of a request, 0 to 100.
        fresh: begin anew; an export that is there is kept under another name.
        refresh: ask for these threads again, also where they are complete. What the server has lost since stays.
        done: ids that are saved elsewhere: they are left out of the list.
        drop: ids of earlier runs that are not wanted any more.
        limit: how many of the list to take; None for all.
        on_event: called in this event loop with each `Event`; a thread's comes when it is in the working store.

    Returns:
        What came of it. What ended it before its time, the sunset or a refused key, is in ``ended_by``: all that was
        asked for until then is in the files.

    Raises:
        TypeError, ValueError: arguments that contradict each other or are out of bounds.
        UnreadableIds: the file of ids cannot be read.
        AccessRefused, MalformedAddress: there is no key, or no address, before anything is written.
        ServerUnreachable: the proxy or the certificates that the environment names cannot be used; before that too.
        OutputUnusable: the files cannot be begun, or not be brought to their end.
        CancelledError: this task was cancelled, before the files were being written. What was fetched is safe, and the
            same call resumes there.
        BaseException: what ``on_event`` raised. The export has ended in order then, as when it is cancelled.
    """
    _refuse_impossible(locals())
    with contextlib.ExitStack() as opened:
        wanted = ThreadList(
            ids=_listed(thread_ids, opened),
            done=_ids(done),
            drop=_ids(drop),
            limit=limit and operator.index(limit),
            refresh=refresh,
        )
        job = Job(
            wanted=wanted,
            paths=_paths(out, thread_ids),
            assistant_id=assistant_id,
            flat=flat,
            include=_kinds(include),
            files=files,
            fresh=fresh,
            concurrency=operator.index(concurrency),
            pace=PacingOptions(rpm=rpm and operator.index(rpm), max_retries=operator.index(max_retries)),
        )
        keys = () if api_key is None else (Key(api_key),)
        async with _connected(client, source or ApiSource(base_url=base_url, keys=keys)) as transports:
            return await _to_its_end(job, transports, on_event)


def _in_own_loop(call: Callable[_P, Coroutine[Any, Any, _T]]) -> Callable[_P, _T]:
    """Give a coroutine function the form of a plain one, with the same arguments."""

    @functools.wraps(call)
    def plain(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        async def closing() -> _T:
            # A client's connections live in this loop. What is no client of this kind is refused by the call, in words.
            client: Any = kwargs.get("client")
            async with client if hasattr(client, "__aexit__") else contextlib.nullcontext():
                return await call(*args, **kwargs)

        if asyncio._get_running_loop() is not None:  # noqa: SLF001 - the one without an exception
            raise RuntimeError("an event loop is running here: use `await threadkeep.aexport(...)`")
        return asyncio.run(closing())

    return plain


export = _in_own_loop(aexport)
export.__doc__ = """Do what `aexport` does, in an event loop of its own, from code that has none.

A ``client`` is closed here: its connections live in that loop, and end with it.

Raises:
    RuntimeError: an event loop is running already; there, ``await aexport(...)``.
    KeyboardInterrupt: Ctrl-C, in the place of CancelledError. Everything else as `aexport`.
"""


async def _to_its_end(job: Job, transports: Sequence[Any], on_event: Callable[[Event], object] | None) -> ExportResult:
    """Run the export. What ``on_event`` raises cancels it, so that it ends in order, and is raised then.

    `carry_out` catches a cancellation of somebody else's too; the caller needs it, so it is raised again.
    """
    task, raised = asyncio.current_task(), list[BaseException]()
    assert task is not None

    def listen(event: Event) -> None:
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
        result = await carry_out(job, transports, transports[0].address, now=now, on_event=listen)
        if isinstance(result.ended_by, Interrupted):
            raise result.ended_by
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
async def _connected(client: "AsyncOpenAI | None", source: ApiSource) -> AsyncIterator[Sequence[Any]]:
    # Only here, since importing the SDK takes most of a second.
    from threadkeep.api.transport import connect_all, wrap_client

    if client is not None:
        yield [wrap_client(client)]
        return
    command = source.token_command
    async with contextlib.AsyncExitStack() as opened:
        token = None if command is None else await TokenCommand(command).run_async()
        # Aside, since to make clients takes a while.
        transports = await asyncio.to_thread(connect_all, source, token)
        yield [await opened.enter_async_context(api) for api in transports]


# What the arguments must be, in words, since mistakes of type would come out as something else much later.
_TYPES: Mapping[str, tuple[Any, str]] = {
    "thread_ids": (Iterable | os.PathLike, "ids or the path of a file of ids"),
    "assistant_id": (str, "a str"),
    "out": (str | os.PathLike, "a path"),
    "include": (Iterable, "names"),
    **dict.fromkeys(("done", "drop"), (Iterable, "ids")),
    **dict.fromkeys(("flat", "files", "fresh", "refresh"), (bool, "True or False")),
    **dict.fromkeys(("concurrency", "max_retries", "rpm", "limit"), (SupportsIndex, "a whole number")),
    "source": (ApiSource, "a threadkeep.api.endpoints.ApiSource"),
    **dict.fromkeys(("base_url", "api_key"), (str, "a str")),
    "on_event": (Callable, "a function"),
}
_OPTIONAL = ("source", "base_url", "api_key", "rpm", "limit", "on_event")
_BOUNDS = {"concurrency": CONCURRENCY, "max_retries": RETRIES, "rpm": (1, None), "limit": (1, None)}
_PLAIN = "on_event must be a plain function: what it returns is not awaited"


def _refuse_impossible(arguments: Mapping[str, Any]) -> None:
    for name, (kind, words) in _TYPES.items():
        value = arguments[name]
        if value is None and name in _OPTIONAL:
            continue
        if not isinstance(value, kind) or isinstance(value, bytes):
            raise TypeError(f"{name} must be {words}, and is {type(value).__name__}")
    if inspect.iscoroutinefunction(arguments["on_event"]):
        raise TypeError(_PLAIN)
    ways = {"client": ("client",), "source": ("source",), "base_url or api_key": ("base_url", "api_key")}
    given = [way for way, names in ways.items() if any(arguments[name] is not None for name in names)]
    if len(given) > 1:
        raise TypeError(f"give {' or '.join(given)}, not both: each says where to ask, and with what")
    if arguments["fresh"] and arguments["refresh"]:
        raise TypeError("give fresh or refresh, not both: in a new export there is nothing to refresh")
    if not arguments["assistant_id"].strip():
        raise ValueError("assistant_id is empty: give the id of the assistant that the export is for")
    for name, (fewest, most) in _BOUNDS.items():
        number = arguments[name]
        if number is not None and not fewest <= operator.index(number) <= (most or number):
            allowed = f"at least {fewest}" if most is None else f"{fewest} to {most}"
            raise ValueError(f"{name} is {number}: it must be {allowed}")


def _listed(
    thread_ids: Iterable[str] | str | os.PathLike[str], opened: contextlib.ExitStack
) -> Iterator[tuple[int, str]]:
    """The ids with their places, from 1. A file is opened at once, so that a wrong name is an error before all else."""
    if not isinstance(thread_ids, str | os.PathLike):
        return ((place, text) for place, text in enumerate(_ids(thread_ids), 1) if text)
    name = os.fspath(thread_ids)
    try:
        file = opened.enter_context(Path(name).open("rb"))  # noqa: SIM115 - closed with the call
    except ValueError as error:  # a name that no file can have
        raise UnreadableIds(f"{name!r}: {error}") from None
    except OSError as error:
        hint = f". A str is the path of a file; one thread is [{name!r}]" if is_thread_id(name) else ""
        raise UnreadableIds(f"{name}: {error.strerror or error}{hint}") from None
    return _entries(file, name)


def _ids(ids: Iterable[str]) -> Iterator[str]:
    if isinstance(ids, str):
        raise TypeError("ids are given as a str: give a list of them")
    for entry in ids:
        if not isinstance(entry, str):
            raise TypeError(f"a thread id is a str, and {entry!r} is none")
        yield entry.strip()


def _entries(file: BinaryIO, name: str) -> Iterator[tuple[int, str]]:
    try:
        yield from iter_ids(file)
    except OSError as error:
        raise UnreadableIds(f"{name}: {error.strerror or error}") from None
    except UnreadableIds as error:
        raise UnreadableIds(f"{name}: {error}") from None


def _paths(out: str | os.PathLike[str], thread_ids: object) -> Paths:
    path = Path(out)
    if not path.name or path.name == ".." or "\0" in path.name:
        raise OutputUnusable(f"{os.fspath(out)!r} does not name a file")
    paths = Paths(path)
    if isinstance(thread_ids, str | os.PathLike):
        ids = Path(thread_ids).resolve()
        if ids in {one.resolve() for one in (*paths.all_files(), paths.files)}:
            raise OutputUnusable(f"{path} would take the place of the file of ids, {ids}")
    return paths


def _kinds(include: Iterable[str]) -> tuple[str, ...]:
    asked = (include,) if isinstance(include, str) else tuple(include)
    for kind in asked:
        if kind not in SIDECAR_KINDS:
            raise ValueError(f"include: {kind!r} is none of {', '.join(SIDECAR_KINDS)}")
    return tuple(kind for kind in SIDECAR_KINDS if kind in asked)
