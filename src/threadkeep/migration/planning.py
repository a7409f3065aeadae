"""What a push has to do in all, and how it is known what has changed since an earlier one."""

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

import attrs

from threadkeep.conversion.source import Source
from threadkeep.migration.store import PushStore, State

__all__ = ["Digests", "PushPlan", "planned"]


@attrs.frozen(kw_only=True)
class PushPlan:
    """What a push has to do when it begins.

    Attributes:
        threads: how many complete threads the export has, or those that were chosen.
        empty: how many of them have nothing to send.
        to_send: how many are to be sent. The others were sent before.
        changed: how many were sent before, and have other items in the export since: their conversations stay.
        conversations: how many conversations are to be created.
        items: how many items are to be sent.
        requests: how many writing requests that takes if each is answered.
        losses: how many losses there are, by what is lost, as far as the target is not asked.
        files: how many files messages refer to that the target may not know.
        files_here: how many of these were downloaded.
        left_out: how many messages have no item.
        awaiting: how many threads are not pushed yet, since they need a file that the export command may still
            download, as far as the target is not asked.
        not_complete: how many threads of the export are not complete, and so not pushed.
        is_flat: whether the export is flat: it had texts only, and what else the messages held is not known.
        has_thread_objects: whether it has thread objects, whose metadata goes along.
    """

    threads: int
    empty: int
    to_send: int
    changed: int
    conversations: int
    items: int
    requests: int
    losses: Mapping[str, int]
    files: int
    files_here: int
    left_out: int
    awaiting: int
    not_complete: int
    is_flat: bool
    has_thread_objects: bool

    def minutes(self, rpm: int) -> float:
        """Return how long the writing requests take at so many requests a minute."""
        return self.requests / rpm


@attrs.define
class Digests:
    """Digests over what is to be sent of a thread, item by item.

    Attributes:
        pushed: how many items were sent when the thread was complete last.
        pushed_digest: over so many; None if there are not so many.
        count: how many there are.
    """

    pushed: int
    pushed_digest: bytes | None = attrs.field(default=None, init=False)
    count: int = attrs.field(default=0, init=False)
    _digest: Any = attrs.field(factory=lambda: blake2b(digest_size=16), init=False)

    def __attrs_post_init__(self) -> None:
        self._note()

    @property
    def digest(self) -> bytes:
        """Over all of them."""
        digest: bytes = self._digest.digest()
        return digest

    def add(self, fingerprint: bytes) -> None:
        """Add an item."""
        self._digest.update(fingerprint)
        self.count += 1
        self._note()

    def _note(self) -> None:
        if self.count == self.pushed:
            self.pushed_digest = self.digest


def planned(store: PushStore, source: Source, requests_for: Callable[[bool, int], tuple[int, int]]) -> PushPlan:
    """Return what a push has to do whose plan is in the store.

    Args:
        store: has the plan.
        source: the export.
        requests_for: the requests that create something for a thread, and those that send items, by whether it has a
            conversation, and how many items are left.
    """
    states, work = store.count(), store.to_send()
    requests = [requests_for(*left) for left in work]
    files, files_here = store.count_files()
    return PushPlan(
        threads=sum(states.values()),
        empty=states[State.EMPTY],
        to_send=len(work),
        changed=states[State.CHANGED],
        conversations=sum(creating for creating, _ in requests),
        items=sum(items for _, items in work),
        requests=sum(map(sum, requests)) + store.count_new_metadata(),
        losses=store.losses(),
        files=files,
        files_here=files_here,
        left_out=store.left_out,
        awaiting=store.awaiting,
        not_complete=source.not_complete,
        is_flat=source.is_flat,
        has_thread_objects=store.has_thread_objects,
    )
