"""Compare an export with the live API from Python: what ``threadkeep validate --live`` does, as a typed report.

``avalidate_live`` is the check; ``validate_live`` is the same for code without an event loop.
"""

import asyncio
import operator
import os
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import attrs

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
from threadkeep.api.endpoints import ApiSource, is_well_known
from threadkeep.api.keys import Key
from threadkeep.arguments import A_WHOLE_NUMBER
from threadkeep.errors import MalformedAddress
from threadkeep.serialization.given_ids import GivenIds
from threadkeep.validation.entrypoints import CHECK_TYPES, MOST, Validated, refuse_wrong_check, validated_with
from threadkeep.validation.live import check_live, checked_export, joined
from threadkeep.validation.report import ValidationReport

if TYPE_CHECKING:
    from openai import AsyncOpenAI  # noqa: TID251 - its name only, for type checkers

__all__ = ["ThreadCompared", "avalidate_live", "validate_live"]


@attrs.frozen
class ThreadCompared:
    """A thread was compared with the API, or could not be.

    Attributes:
        messages: how many the API has of it.
    """

    thread_id: str
    messages: int


async def avalidate_live(
    out: str | os.PathLike[str],
    *,
    ids: GivenIds | None = None,
    column: str | None = None,
    sample: int | None = None,
    seed: int = 0,
    client: "AsyncOpenAI | None" = None,
    source: ApiSource | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    concurrency: int = DEFAULT_CONCURRENCY,
    rpm: int | None = None,
    max_retries: int = DEFAULT_RETRIES,
    most: int = MOST,
    now: datetime | None = None,
    on_event: Callable[[ThreadCompared], object] | None = None,
) -> ValidationReport:
    """Check an export as `threadkeep.validate` does, fetch its threads again, and compare them with it.

    Nothing is changed, here or at the API.

    Args:
        out: the export.
        ids: the thread ids that were wanted; or the path, as a str too, of a list of ids in any form that the command
            takes. None where that is not known.
        column: the name of the column or key of the list that has the ids; None to find it out.
        sample: how many threads to compare; None for all.
        seed: another seed chooses another sample.
        client: asked through with its own key, address, headers, connections and timeout, and not closed. Its retries
            are left out: the check has its own.
        source: in place of ``base_url`` and ``api_key``, where there are several keys, a token command, or Azure.
        base_url: where ``/threads`` begins; None for ``OPENAI_BASE_URL``, else for the address that the export came
            from, if that is one of OpenAI's or Microsoft's own.
        api_key: None for one of the environment.
        concurrency: threads at a time, 1 to 256.
        rpm: requests a minute at most; None for a pace that is found.
        max_retries: of a request, 0 to 100.
        most: how many findings of each code are listed, at least one; all are counted.
        now: what counts as the future; None for the time of the call.
        on_event: called in this event loop with a `ThreadCompared` for each thread.

    Returns:
        The report. Its ``live`` says how many threads were compared, and what ended the check before its time; what was
        compared until then is in the findings.

    Raises:
        TypeError, ValueError: arguments that contradict each other, are out of bounds, or are of another type.
        UnreadableIds: the list cannot be read, or is no list of thread ids.
        AccessRefused, MalformedAddress, ServerUnreachable: there is no key, no address, or no way to connect.
        OutputUnusable: a file of the export cannot be read, or was changed meanwhile; or there is none.
        CancelledError: this task was cancelled.
        BaseException: what ``on_event`` raised. The check has ended in order then.
    """
    arguments = locals()
    refuse_wrong_check(arguments)
    types = {**CHECK_TYPES, "sample": A_WHOLE_NUMBER, "seed": A_WHOLE_NUMBER}
    refuse_wrong_call(arguments, types, frozenset({"ids", "column", "now", "sample"}))
    refuse_out_of_bounds(arguments, {"sample": (1, None)})
    # Aside, since to read an export takes a while.
    found = await asyncio.to_thread(validated_with, out, ids, column, most=most, now=now)
    given = source or ApiSource(base_url=base_url, keys=() if api_key is None else (Key(api_key),))
    async with connected(client, given if client is not None else _addressed(given, found)) as transports:
        outcome = await run_to_its_end(
            lambda send: check_live(
                checked_export(found, most=sample, seed=operator.index(seed)),
                transports,
                source=transports[0].address,
                concurrency=operator.index(concurrency),
                pace=PacingOptions(rpm=rpm and operator.index(rpm), max_retries=operator.index(max_retries)),
                on_compared=lambda thread_id, messages: send(ThreadCompared(thread_id, messages)),
            ),
            on_event,
        )
    return joined(found.report, outcome, most)


validate_live = in_own_loop(avalidate_live)


def _addressed(given: ApiSource, found: Validated) -> ApiSource:
    """Return a source with an address: a key goes to no address that only a file names, unless everybody knows it."""
    if given.base_url is not None or "OPENAI_BASE_URL" in os.environ or found.header is None:
        return given
    exported_from = found.header.source
    if not is_well_known(exported_from):
        raise MalformedAddress(
            f"{found.report.out} was exported from {exported_from!r}. Give base_url to ask there, or another address:"
            " the key is sent to none that only a file names"
        )
    return attrs.evolve(given, base_url=exported_from)
