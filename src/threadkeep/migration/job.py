"""What a push is to do, and what it came to."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import attrs

from threadkeep.api.calls import DEFAULT_CONCURRENCY
from threadkeep.api.client import PacingOptions
from threadkeep.errors import ThreadkeepError
from threadkeep.migration.conversations.conversation_map import (
    losses_path,
)
from threadkeep.migration.planning import PushPlan
from threadkeep.migration.targets import TARGETS, PushTarget, Target
from threadkeep.storage.manifest import Manifest
from threadkeep.storage.paths import Paths

__all__ = ["CHOICES", "PushJob", "PushResult"]

CHOICES: Mapping[str, tuple[str, ...]] = {
    "citations": ("keep", "strip", "footnotes"),
    "unsupported": ("skip", "text"),
    "inline_images": ("no", "yes"),
    "upload_files": ("no", "yes"),
}
"""What each choice of how items are made may be; the first one is the default."""


@attrs.frozen(kw_only=True)
class PushJob:
    """One push.

    Attributes:
        out: the export. The files of the push are named after it.
        export: where it is read, if that is not ``out``.
        name: of the export, for people.
        to: what threads become.
        map: the name of the map; None for the usual one.
        only: the ids of the threads to push; None for all that are complete.
        choices: how items are made, as far as this push says it; see `CHOICES`.
        anew: push threads anew whose conversation is gone or not as it was sent, as an earlier verification has found.
        without_files: push threads also without files that may still be downloaded: the files are losses then.
        address: of the target, without secrets.
        user_identity: the end user that the conversations belong to, on Foundry.
        is_foundry: whether the target is of the new Foundry: its conversations are listed to find one whose creation
            was not answered.
        verify: read everything back.
        concurrency: how many threads are sent at a time.
        pace: how hard to ask.

    Raises:
        OutputUnusable: no file can have the name of the export.
    """

    out: Path
    export: Path = attrs.field(default=attrs.Factory(lambda self: self.out, takes_self=True))
    name: str = attrs.field(default=attrs.Factory(lambda self: str(self.out), takes_self=True))
    to: PushTarget = "conversations"
    map: Path | None = None
    only: frozenset[str] | None = None
    choices: Mapping[str, str] = attrs.field(factory=dict)
    anew: bool = False
    without_files: bool = False
    address: str
    is_foundry: bool = False
    user_identity: str | None = None
    verify: bool = False
    concurrency: int = DEFAULT_CONCURRENCY
    pace: PacingOptions = attrs.field(factory=PacingOptions)

    def __attrs_post_init__(self) -> None:
        Paths(self.out)

    @property
    def store_path(self) -> Path:
        """The store of the push."""
        return self.out.with_name(f"{self.out.name}.push")

    @property
    def lock_path(self) -> Path:
        """Its lock."""
        return self.store_path.with_name(f"{self.store_path.name}.lock")

    @property
    def kind(self) -> Target:
        """What threads become."""
        return TARGETS[self.to]

    @property
    def map_path(self) -> Path | None:
        """The map; None if there is none, since threads do not become conversations."""
        if not self.kind.has_conversations:
            return None
        return self.map or self.out.with_name(f"{self.out.name}.{self.to}.ndjson")

    @property
    def losses_path(self) -> Path:
        """The report of losses."""
        return losses_path(self.map_path or self.out.with_name(f"{self.out.name}.{self.to}"))

    @property
    def target(self) -> Mapping[str, str]:
        """Where it goes, as the store has it."""
        target = {"to": self.to, "address": self.address}
        if self.user_identity is None:
            return target
        # Not the identity itself: it may be a person's address.
        return {**target, "user": hashlib.sha256(self.user_identity.encode()).hexdigest()[:16]}


@attrs.frozen(kw_only=True)
class PushResult:
    """What a push came to. The counts are of the threads that this push was for, whichever run has sent them.

    Attributes:
        plan: what there was to do when it began.
        map_path, losses_path: what was written; None where nothing was, since the run was interrupted or only planned.
        pushed: how many threads have had all their items there.
        items: how many items these have.
        left_out: how many messages have no item, since nothing of them is left.
        verified: how many of them were read back, and are as they were sent.
        sent: how many items this run has sent.
        requests: how many requests it has sent.
        states: how many threads have each state, see `threadkeep.migration.store.State`.
        losses: how many losses there are, by what is lost, in the API's words.
        leftovers: the threads for which an empty conversation may be left over, once for each: the answer to its
            creation was lost, and the server lists no conversations.
        continued: how many conversations had items of others behind ours when they were verified.
        replaced: the conversations that are in no map any more, since their threads were pushed anew.
        replaced_now: those of them whose threads this run has pushed anew.
        in_map_only: how many conversations have the times of their items in the map only.
        problems: the first threads that are not complete or not as they were sent, with the reason.
        problem_count: how many there are.
        awaiting: how many of them need a file that is not here yet, and that the export command may still download.
        broken: how many of the others have a conversation that is gone or not as it was sent, or is not as the thread
            is now. To push them anew repairs that.
        unverified: how many of them have had all their items, and are not as they were sent or could not be read back.
        manifest: of the export; None without one.
        seconds: how long this run took.
        ended_by: what ended the run before every thread had its turn; None when nothing did.
    """

    plan: PushPlan
    map_path: Path | None = None
    losses_path: Path | None = None
    pushed: int = 0
    items: int = 0
    left_out: int = 0
    verified: int = 0
    sent: int = 0
    requests: int = 0
    states: Mapping[str, int]
    losses: Mapping[str, int]
    continued: int = 0
    leftovers: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    replaced_now: tuple[str, ...] = ()
    in_map_only: int = 0
    problems: tuple[tuple[str, str], ...] = ()
    problem_count: int = 0
    awaiting: int = 0
    broken: int = 0
    unverified: int = 0
    manifest: Manifest | None = None
    seconds: float = 0.0
    ended_by: ThreadkeepError | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every thread of the export that has anything to send is at the target, as far as was looked at."""
        return self.ended_by is None and not self.problem_count and not self.plan.not_complete
