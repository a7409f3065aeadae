"""The export from Python: what ``threadkeep export`` does, with a caller's own client, and a result in its types.

``aexport`` is the export; ``export`` is the same for code without an event loop.
"""

import contextlib
import operator
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadkeep.api.calls import (
    DEFAULT_CONCURRENCY,
    DEFAULT_RETRIES,
    connected,
    in_own_loop,
    refuse_out_of_bounds,
    refuse_wrong_call,
    run_to_its_end,
)
from threadkeep.api.client import PacingOptions
from threadkeep.api.endpoints import ApiSource
from threadkeep.api.keys import Key
from threadkeep.arguments import A_PATH, A_STR, A_SWITCH, A_WHOLE_NUMBER, IDS_OR_PATH, wrong_type
from threadkeep.clock import now
from threadkeep.errors import OutputUnusable
from threadkeep.exporter.events import Event
from threadkeep.exporter.job import ExportResult, Job, carry_out
from threadkeep.serialization.given_ids import GivenIds, given_ids
from threadkeep.serialization.thread_ids import unlike_assistant_id
from threadkeep.storage.paths import SIDECAR_KINDS, Paths, SidecarKind
from threadkeep.storage.session import ThreadList
from threadkeep.storage.sharding import Shard

if TYPE_CHECKING:
    from openai import AsyncOpenAI  # noqa: TID251 - its name only, for type checkers

__all__ = ["ExportResult", "aexport", "export"]


async def aexport(
    thread_ids: GivenIds,
    assistant_id: str,
    out: str | os.PathLike[str],
    *,
    client: "AsyncOpenAI | None" = None,
    source: ApiSource | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    flat: bool = False,
    include: Iterable[SidecarKind] = (),
    files: bool = False,
    concurrency: int = DEFAULT_CONCURRENCY,
    rpm: int | None = None,
    max_retries: int = DEFAULT_RETRIES,
    fresh: bool = False,
    refresh: bool = False,
    done: GivenIds = (),
    drop: GivenIds = (),
    limit: int | None = None,
    shard: tuple[int, int] | None = None,
    column: str | None = None,
    on_event: Callable[[Event], object] | None = None,
) -> ExportResult:
    """Export threads to NDJSON, or resume the export that is there.

    Args:
        thread_ids: ids; or the path, as a str too, of a list of ids in any form that the command takes. An id that is
            given twice is exported once.
        assistant_id: the assistant that the export is for; "auto" for each thread's own: the one in the column
            ``assistant_id`` of the list, else that of its newest assistant message.
        out: where it goes. Its index and its manifest are written next to it.
        client: asked through with its own key, address, headers, connections and timeout, and not closed. Its retries
            are left out: the export has its own.
        source: in place of ``base_url`` and ``api_key``, where there are several keys, a token command, or Azure.
        base_url: where ``/threads`` begins; None for ``OPENAI_BASE_URL``, else OpenAI's own.
        api_key: None for one of the environment.
        flat: write the six flat keys only.
        include: what to save next to the messages, such as ``("threads", "runs")``.
        files: download the files that messages refer to, and steps where runs are saved.
        concurrency: threads at a time, 1 to 256.
        rpm: requests a minute at most; None for a pace that is found.
        max_retries: of a request, 0 to 100.
        fresh: begin anew; an export that is there is kept under another name.
        refresh: ask for these threads again, also where they are complete. What the server has lost since stays.
        done: ids that are saved elsewhere, or the path of a list of them: they are left out of the list.
        drop: ids of earlier runs that are not wanted any more, or the path of a list of them.
        limit: how many of the list to take; None for all.
        shard: (i, n) to take only shard i of n, from 0. Each id is in the same shard on every machine.
        column: the name of the column or key of the list that has the ids; None to find it out.
        on_event: called in this event loop with each `Event`; a thread's comes when it is in the working store.

    Returns:
        What came of it. What ended it before its time, the sunset or a refused key, is in ``ended_by``: all that was
        asked for until then is in the files.

    Raises:
        TypeError, ValueError: arguments that contradict each other or are out of bounds.
        UnreadableIds: the list cannot be read, or is no list of thread ids.
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
            ids=given_ids(thread_ids, opened, column),
            done=(entry.thread_id for entry in given_ids(done, opened, may_be_empty=True)),
            drop=(entry.thread_id for entry in given_ids(drop, opened, may_be_empty=True)),
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


_NAMES = 'names, such as ("threads", "runs")'
_TYPES: Mapping[str, tuple[Any, str]] = {
    **dict.fromkeys(("thread_ids", "done", "drop"), IDS_OR_PATH),
    "assistant_id": A_STR,
    "out": A_PATH,
    "include": (Iterable, _NAMES),
    **dict.fromkeys(("flat", "files", "fresh", "refresh"), A_SWITCH),
    "limit": A_WHOLE_NUMBER,
    "shard": (tuple, "a pair of numbers"),
    "column": (str, "a name"),
}


def _refuse_impossible(arguments: Mapping[str, Any]) -> None:
    refuse_wrong_call(arguments, _TYPES, frozenset({"limit", "shard", "column"}))
    if arguments["fresh"] and arguments["refresh"]:
        raise TypeError("give fresh or refresh, not both: in a new export there is nothing to refresh")
    unlike = unlike_assistant_id(arguments["assistant_id"])
    if unlike is not None:
        shown = "" if unlike in ("empty", "a key") else f" {arguments['assistant_id']!r},"
        raise ValueError(f"assistant_id is{shown} {unlike}; the arguments are thread_ids, assistant_id, out")
    refuse_out_of_bounds(arguments, {"limit": (1, None)})


def _shard(pair: tuple[int, int]) -> Shard:
    try:
        number, count = map(operator.index, pair)
    except (TypeError, ValueError):
        raise TypeError(f"shard is a pair of whole numbers, such as (0, 4), and not {pair!r}") from None
    return Shard(number, count)


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
    if isinstance(include, str):
        raise wrong_type("include", _NAMES, include)
    asked = tuple(include)
    for kind in asked:
        if kind not in SIDECAR_KINDS:
            raise ValueError(f"include: {kind!r} is none of {', '.join(SIDECAR_KINDS)}")
    return tuple(kind for kind in SIDECAR_KINDS if kind in asked)
