"""The patterns of a thread, as they are sent to Engramia. Pure."""

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any

import attrs

from threadkeep.conversion.content import thread_losses
from threadkeep.conversion.formats.engramia import Pair, pairs_of
from threadkeep.conversion.job import Options
from threadkeep.conversion.losses import Loss
from threadkeep.conversion.source import Thread
from threadkeep.migration.planning import Digests
from threadkeep.migration.store import ThreadPlan
from threadkeep.serialization.lossless_json import dumps

__all__ = ["Pattern", "fingerprint", "patterns_of", "plan_of"]

# Engramia refuses it.
_NO_CHARACTER = "half of a surrogate pair is no character: it became U+FFFD"


@attrs.frozen
class Pattern:
    """A line of ``convert --to engramia``, as it is sent.

    Attributes:
        message_ids: of the question and the answer.
    """

    line: Mapping[str, Any]
    message_ids: tuple[str, ...]


def patterns_of(thread: Thread, options: Options) -> Iterator[Pattern]:
    """Yield the patterns of a thread, in order.

    Raises:
        MalformedLine, OutputUnusable: as reading the thread does.
    """
    for pair in _unicode_pairs(thread, options):
        if pair.line is not None:
            yield Pattern(pair.line, pair.message_ids)


def fingerprint(line: Mapping[str, Any]) -> bytes:
    """Return a digest of a line."""
    return blake2b(dumps(line), digest_size=16).digest()


def plan_of(thread: Thread, options: Options, pushed: int) -> ThreadPlan:
    """Return what is to be sent of a thread, as its namesake of conversations does."""
    digests, losses = Digests(pushed), [*thread_losses(thread.thread_id, thread.thread)]
    for pair in _unicode_pairs(thread, options):
        losses += pair.losses
        if pair.line is not None:
            digests.add(fingerprint(pair.line))
    return ThreadPlan(
        thread_id=thread.thread_id,
        messages=digests.count,
        digest=digests.digest,
        pushed_digest=digests.pushed_digest,
        losses=losses,
        files={},
        paths={},
        has_thread_object=thread.thread is not None,
        metadata={},
    )


def _unicode_pairs(thread: Thread, options: Options) -> Iterator[Pair]:
    for pair in pairs_of(thread, options):
        line = pair.line and {name: _as_unicode(value) for name, value in pair.line.items()}
        if line is None or line == pair.line:
            yield pair
            continue
        losses = [
            Loss(thread.thread_id, message_id, "text", _NO_CHARACTER)
            for name, message_id in zip(("task", "code"), pair.message_ids, strict=True)
            if line[name] != (pair.line or {})[name]
        ]
        yield Pair(line, pair.message_ids, (*pair.losses, *losses))


def _as_unicode(value: Any) -> Any:
    if not isinstance(value, str) or value.isascii():
        return value
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
