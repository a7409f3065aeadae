"""The push from Python: what ``threadkeep push`` does, with a caller's own client, and a result in its types."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from threadkeep.api.calls import (
    DEFAULT_RETRIES,
    connected,
    in_own_loop,
    refuse_out_of_bounds,
    refuse_wrong_call,
    run_to_its_end,
)
from threadkeep.api.client import PacingOptions
from threadkeep.api.endpoints import ApiSource, endpoint_for, is_foundry, without_secrets
from threadkeep.api.keys import Key, header_fault
from threadkeep.arguments import A_PATH, A_STR, A_SWITCH, IDS
from threadkeep.conversion.job import Citations, Unsupported
from threadkeep.migration.events import PushEvent
from threadkeep.migration.job import CHOICES, PushJob, PushResult
from threadkeep.migration.run import carry_out, plan_only
from threadkeep.migration.targets import TARGETS, PushTarget, useless_with

if TYPE_CHECKING:
    from openai import AsyncOpenAI  # noqa: TID251 - its name only, for type checkers

__all__ = ["TargetKind", "apush", "choices_of", "identity_headers", "push", "target_is_foundry"]

TargetKind: TypeAlias = Literal["openai", "foundry"]
"""A kind of server of conversations."""


async def apush(
    out: str | os.PathLike[str],
    *,
    to: PushTarget = "conversations",
    client: "AsyncOpenAI | None" = None,
    source: ApiSource | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    target: TargetKind | None = None,
    user_identity: str | None = None,
    map: str | os.PathLike[str] | None = None,  # noqa: A002 - the name of the option
    only: Iterable[str] | None = None,
    upload_files: bool | None = None,
    inline_images: bool | None = None,
    citations: Citations | None = None,
    unsupported: Unsupported | None = None,
    dry_run: bool = False,
    anew: bool = False,
    without_files: bool = False,
    verify: bool = False,
    concurrency: int | None = None,
    rpm: int | None = None,
    max_retries: int = DEFAULT_RETRIES,
    on_event: Callable[[PushEvent], object] | None = None,
) -> PushResult:
    """Push the complete threads of an export to another API, or resume that.

    With "conversations", each thread becomes one conversation; with "engramia", each question with its answer becomes
    one pattern. What was sent is recorded in ``OUT.push``, so the same call again sends what is missing, and nothing
    twice. The map, ``OUT.conversations.ndjson``, says which conversation each thread became, and ``MAP.losses.ndjson``
    names everything that a conversation cannot carry; for patterns ``OUT.engramia.losses.ndjson`` does that.

    Args:
        out: the export.
        to: what threads become: "conversations" or "engramia". With "engramia" there is no use for ``target``,
            ``user_identity``, ``map``, ``upload_files``, ``inline_images`` and ``without_files``, nor for several keys.
        client: asked through with its own key, address, headers, connections and timeout, and not closed. Its retries
            are left out: a push has its own.
        source: in place of ``base_url`` and ``api_key``, where there are several keys or a token command.
        base_url: where ``/conversations`` begins; None for ``OPENAI_BASE_URL``, else OpenAI's own. Of Engramia the
            address of the server; None for ``ENGRAMIA_API_URL``.
        api_key: None for one of the environment; for Engramia that is ``ENGRAMIA_API_KEY``.
        target: the kind of server; None for what the address says. Only Foundry lists conversations, and one whose
            creation was not answered is found there.
        user_identity: on Foundry, the end user that the conversations belong to.
        map: the name of the map; None for the usual one.
        only: the ids of the threads to push; None for all that are complete.
        upload_files: upload files that the target does not know; they must have been downloaded with the export.
        inline_images: send downloaded images as data URLs.
        citations, unsupported: as `threadkeep.convert` takes them. None, for these and the two above, is the
            choice of an earlier push of this export, else as `convert` has it. Once anything was sent only
            ``upload_files`` may change.
        dry_run: plan only. Nothing is asked, and nothing is written.
        anew: push threads anew whose conversation is gone or not as it was sent, as an earlier ``verify`` has found, or
            whose messages have changed since. The old conversations stay, and are named in ``replaced``.
        without_files: push threads also without files that are not downloaded yet, which are losses then; else such
            threads wait for them.
        verify: read everything back, and compare it with what was sent.
        concurrency: threads at a time, 1 to 256; None for 64, and for 1 to Engramia.
        rpm: requests a minute at most; None for a pace that is found, and for 60 to Engramia.
        max_retries: of a request, 0 to 100.
        on_event: called in this event loop with each `threadkeep.migration.events.PushEvent`.

    Returns:
        What came of it. What ended it before its time, such as a refused key, is in ``ended_by``.

    Raises:
        TypeError, ValueError: arguments that contradict each other or are out of bounds, or a thread in ``only`` that
            is not in the export.
        AccessRefused, MalformedAddress, ServerUnreachable: there is no key, no address, or no way to connect.
        MalformedLine: a line of the export is no message.
        OutputUnusable: the export cannot be read, another push is at work, or the store or map cannot be used: they
            belong to another target, or the disk reports an error.
        CancelledError: this task was cancelled. What was sent is recorded, and the same call resumes there.
        BaseException: what ``on_event`` raised. The push has ended in order then.
    """
    _refuse_impossible(locals())
    kind = TARGETS[to]
    given = source or ApiSource(base_url=base_url, keys=() if api_key is None else (Key(api_key),))
    address = _address_of(client) if client is not None else endpoint_for(kind.api, given, os.environ).base_url
    headers = identity_headers(user_identity)
    job = PushJob(
        out=Path(out),
        to=to,
        map=None if map is None else Path(map),
        only=None if only is None else _ids(only),
        choices=choices_of(
            citations=citations, unsupported=unsupported, inline_images=inline_images, upload_files=upload_files
        ),
        anew=anew,
        without_files=without_files,
        address=without_secrets(address),
        user_identity=user_identity,
        is_foundry=target_is_foundry(target, address),
        verify=verify,
        concurrency=concurrency or kind.concurrency,
        pace=PacingOptions(rpm=rpm or kind.rpm, max_retries=max_retries),
    )
    if dry_run:
        return await plan_only(job)
    async with connected(client, given, api=kind.api, headers=headers) as transports:
        return await run_to_its_end(lambda listen: carry_out(job, transports, on_event=listen), on_event)


push = in_own_loop(apush)


def choices_of(**given: str | bool | None) -> dict[str, str]:
    """Return choices of how items are made, as a job takes them: without those that are left open.

    Raises:
        ValueError: there is no such choice.
    """
    words = {False: "no", True: "yes"}
    chosen = {
        name: words[value] if isinstance(value, bool) else value for name, value in given.items() if value is not None
    }
    for name, value in chosen.items():
        if value not in CHOICES[name]:
            raise ValueError(f"{name} is {value!r}: it must be {' or '.join(map(repr, CHOICES[name]))}")
    return chosen


def target_is_foundry(target: TargetKind | None, address: str) -> bool:
    """Return whether a target is the new Foundry: as it was declared, else by its address."""
    return is_foundry(address) if target is None else target == "foundry"


def identity_headers(user_identity: str | None) -> Mapping[str, str]:
    """Return the headers that say which end user the conversations belong to: the present name, and the earlier one.

    Raises:
        ValueError: a header cannot carry the identity.
    """
    if user_identity is None:
        return {}
    if (fault := header_fault(user_identity)) is not None:
        raise ValueError(f"the identity of the end user {fault}")
    return dict.fromkeys(("x-ms-user-identity", "x-ms-user-isolation-key"), user_identity)


def _address_of(client: "AsyncOpenAI") -> str:
    # Only here, since importing the SDK takes most of a second.
    from threadkeep.api.transport import wrap_client

    return wrap_client(client).address


def _ids(only: Iterable[str]) -> frozenset[str]:
    ids = frozenset(only)
    for one in ids:
        if not isinstance(one, str):
            raise TypeError(f"only has {one!r}, which is no id")
    return ids


_TYPES: Mapping[str, tuple[Any, str]] = {
    **dict.fromkeys(("out", "map"), A_PATH),
    "user_identity": A_STR,
    "only": IDS,
    **dict.fromkeys(("upload_files", "inline_images", "dry_run", "verify", "anew", "without_files"), A_SWITCH),
}
_OF_CONVERSATIONS = ("target", "user_identity", "map", "upload_files", "inline_images", "without_files")
_OPTIONAL = frozenset({"map", "user_identity", "only", "upload_files", "inline_images", "concurrency"})
_CHOICES = {"to": tuple(TARGETS), "target": (None, "openai", "foundry")}


def _refuse_impossible(arguments: Mapping[str, Any]) -> None:
    refuse_wrong_call(arguments, _TYPES, _OPTIONAL)
    if isinstance(arguments["only"], str):
        raise TypeError("only is a str: give the ids themselves, such as a list of them")
    for name, choices in _CHOICES.items():
        if arguments[name] not in choices:
            known = " or ".join(repr(choice) for choice in choices if choice is not None)
            raise ValueError(f"{name} is {arguments[name]!r}: it must be {known}")
    given = {name: arguments[name] for name in _OF_CONVERSATIONS}
    given["more than one key"] = arguments["source"] is not None and len(arguments["source"].keys) > 1
    if (useless := useless_with(arguments["to"], given)) is not None:
        raise ValueError(f"{useless} is of no use with to={arguments['to']!r}")
    refuse_out_of_bounds(arguments, {})
