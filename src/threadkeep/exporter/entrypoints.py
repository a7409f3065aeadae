"""The export from Python: what ``threadkeep export`` does, with a caller's own client, and a result in its types.

``aexport`` is the export; ``export`` is the same for code without an event loop.
"""

import contextlib
import operator
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, SupportsIndex

from threadkeep.api.calls import (
    DEFAULT_CONCURRENCY,
    DEFAULT_RETRIES,
    connected,
    in_own_loop,
    refuse_out_of_bounds,
    refuse_two_sources,
    refuse_wrong_types,
    run_to_its_end,
)
from threadkeep.api.client import PacingOptions
from threadkeep.api.endpoints import ApiSource
from threadkeep.api.keys import Key
from threadkeep.clock import now
from threadkeep.errors import OutputUnusable, UnreadableIds
from threadkeep.exporter.events import Event
from threadkeep.exporter.job import ExportResult, Job, carry_out
from threadkeep.serialization.id_lists import is_thread_id, iter_ids
from threadkeep.storage.paths import SIDECAR_KINDS, Paths
from threadkeep.storage.session import ThreadList
from threadkeep.storage.sharding import Shard

if TYPE_CHECKING:
    from openai import AsyncOpenAI  # noqa: TID251 - its name only, for type checkers

__all__ = ["ExportResult", "aexport", "export"]


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
    shard: tuple[int, int] | None = None,
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
        shard: (i, n) to take only shard i of n, from 0. Each id is in the same shard on every machine.
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
            shard=None if shard is None else _shard(shard),
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
        async with connected(client, source or ApiSource(base_url=base_url, keys=keys)) as transports:
            return await run_to_its_end(
                lambda listen: carry_out(job, transports, transports[0].address, now=now, on_event=listen), on_event
            )


export = in_own_loop(aexport)
export.__doc__ = """Do what `aexport` does, in an event loop of its own, from code that has none.

A ``client`` is closed here: its connections live in that loop, and end with it.

Raises:
    RuntimeError: an event loop is running already; there, ``await aexport(...)``.
    KeyboardInterrupt: Ctrl-C, in the place of CancelledError. Everything else as `aexport`.
"""


_TYPES: Mapping[str, tuple[Any, str]] = {
    "thread_ids": (Iterable | os.PathLike, "ids or the path of a file of ids"),
    "assistant_id": (str, "a str"),
    "out": (str | os.PathLike, "a path"),
    "include": (Iterable, "names"),
    **dict.fromkeys(("done", "drop"), (Iterable, "ids")),
    **dict.fromkeys(("flat", "files", "fresh", "refresh"), (bool, "True or False")),
    "limit": (SupportsIndex, "a whole number"),
    "shard": (tuple, "a pair of numbers"),
}


def _refuse_impossible(arguments: Mapping[str, Any]) -> None:
    refuse_wrong_types(arguments, _TYPES, frozenset({"limit", "shard"}))
    refuse_two_sources(arguments)
    if arguments["fresh"] and arguments["refresh"]:
        raise TypeError("give fresh or refresh, not both: in a new export there is nothing to refresh")
    if not arguments["assistant_id"].strip():
        raise ValueError("assistant_id is empty: give the id of the assistant that the export is for")
    refuse_out_of_bounds(arguments, {"limit": (1, None)})


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


def _shard(pair: tuple[int, int]) -> Shard:
    try:
        number, count = map(operator.index, pair)
    except (TypeError, ValueError):
        raise TypeError(f"shard is a pair of whole numbers, such as (0, 4), and not {pair!r}") from None
    return Shard(number, count)


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
