"""The Assistants API as plain lists and dicts: what the whole machine holds the fake against.

Written from the recorded facts and from what the control API promises; nothing of the fake is imported. A run is told
by beats, the names of its events without the deltas; each beat changes the model as it changed the API.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

ACTIVE = ("queued", "in_progress", "requires_action", "cancelling")
MOVING = ("queued", "in_progress", "cancelling")
OVER = ("completed", "failed", "incomplete", "cancelled", "expired")
LIFETIME = 600

Beat = tuple[str, Any]


@dataclass(eq=False)
class Run:
    """`beats` is what is still to happen; `is_void` when a state put something else in its place, or nothing."""

    id: str
    thread: str
    status: str = "queued"
    beats: list[Beat] = field(default_factory=list)
    steps: list[list[str]] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    wanted: list[str] = field(default_factory=list)
    deadline: int | None = None
    since: int = 0
    shown: int = 1
    is_planned: bool = True
    is_void: bool = False
    may_cut: bool = False
    written: dict[str, Any] | None = None  # the message that is being written
    inboxes: list[list[Beat]] = field(default_factory=list)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Run":
        """As a state has it: without what is still to happen."""
        kept = copy.deepcopy((self.steps, self.metadata, self.wanted), memo)
        return Run(self.id, self.thread, self.status, [], *kept, is_planned=False)


@dataclass
class Objects:
    """What stands in the world."""

    assistants: dict[str, bool] = field(default_factory=dict)  # whether each has instructions
    threads: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # the messages of each
    runs: dict[str, dict[str, Run]] = field(default_factory=dict)
    others: dict[str, list[str]] = field(default_factory=lambda: {"files": [], "conversations": []})

    def add_thread(self, thread: str) -> None:
        self.threads[thread], self.runs[thread] = [], {}

    def delete_thread(self, thread: str) -> None:
        for run in self.runs[thread].values():
            run.is_void = True
        del self.threads[thread], self.runs[thread]

    def active(self, thread: str) -> Run | None:
        return next((run for run in self.runs[thread].values() if run.status in ACTIVE), None)

    def message(self, thread: str, message_id: str) -> dict[str, Any] | None:
        return next((one for one in self.threads[thread] if one["id"] == message_id), None)


@dataclass
class Model:
    """The world, its clock, and how runs move on."""

    now: int
    world: Objects = field(default_factory=Objects)
    progress: str = "read"
    reads: int = 1
    seconds: int = 1
    queue: list[list[Any]] = field(default_factory=list)
    default: list[Any] | None = None

    # --- runs

    def begin(self, run: Run) -> None:
        run.deadline, run.since = self.now + LIFETIME, self.now
        run.beats = [("run.created", None), ("run.queued", None), ("run.in_progress", None)]
        run.beats += self.work(run)
        self.world.runs[run.thread][run.id] = run

    def script(self, thread: str) -> list[Any]:
        if self.queue:
            return self.queue.pop(0)
        return [{"reply": self.echo(thread)}] if self.default is None else self.default

    def work(self, run: Run) -> list[Beat]:
        script = self.script(run.thread)
        run.may_cut = any("cut" in step for step in script)
        return work(script)

    def echo(self, thread: str) -> str:
        """The newest words of a user."""
        said = ["\n".join(words(one)) for one in self.world.threads[thread] if one["role"] == "user" and words(one)]
        return said[-1] if said else "I have nothing to echo."

    def pull(self, run: Run, moment: int) -> bool:
        """The next thing happens."""
        if run.is_void or not run.is_planned or not run.beats:
            return False
        before, beat = run.status, run.beats.pop(0)
        self.happen(run, *beat)
        if run.status != before:
            run.since, run.shown = moment, 0
        for inbox in run.inboxes:
            inbox.append(beat)
        return True

    def happen(self, run: Run, name: str, what: Any) -> None:
        head, _, tail = name.partition(".")
        if name == "step.created":
            run.steps.append(["tool_calls" if what is None else "message_creation", "in_progress"])
            if what is not None:
                self.write(run, what)
        elif head == "step" and tail != "in_progress":
            run.steps[-1][1] = tail
        elif name in ("message.completed", "message.incomplete"):
            self.written(run, bool(what))
        elif name == "error" or tail in (*ACTIVE, *OVER):
            run.status = "failed" if name == "error" else tail
            run.wanted = what if tail == "requires_action" else []

    def write(self, run: Run, parts: Any) -> None:
        """The message is there from its step's creation on."""
        run.written = {"id": None, "role": "assistant", "run_id": run.id, "content": [], "whole": parts, "metadata": {}}
        self.world.threads[run.thread].append(run.written)

    def written(self, run: Run, is_whole: bool) -> None:
        """A client may have deleted it before it is whole."""
        if run.written is not None and is_whole:
            run.written["content"] = run.written.pop("whole")
        run.written = None

    def carry_on(self, run: Run, moment: int) -> None:
        """Until the status is another."""
        before = run.status
        while run.status == before and self.pull(run, moment):
            pass

    def run_on(self, run: Run) -> None:
        while run.status in MOVING and self.pull(run, self.now):
            pass

    def answered(self, run: Run) -> None:
        if self.progress == "immediate":
            self.run_on(run)

    def seen(self, run: Run | None) -> None:
        """A status is shown so many times; then reading carries the run on."""
        if run is None or not run.is_planned or self.progress != "read" or run.status not in MOVING:
            return
        if run.shown >= self.reads:
            self.carry_on(run, self.now)
        run.shown += 1

    def submit(self, run: Run) -> None:
        if not run.is_planned:  # a state put it in
            run.is_planned = True
            opened = [("step.completed", None)] if is_open(run) else []
            run.beats = [*opened, ("run.queued", None), ("run.in_progress", None), *self.work(run)]
        self.carry_on(run, self.now)
        run.shown = 1

    def cancel(self, run: Run) -> None:
        run.beats = [("run.cancelling", None), *abandoned(run, "cancelled")]
        run.is_planned = True
        self.carry_on(run, self.now)
        run.shown = 1

    # --- time

    def settle(self) -> None:
        """What is due has happened, each thing at its own second."""
        for run in [run for runs in self.world.runs.values() for run in runs.values() if run.is_planned]:
            while run.status in ACTIVE and self.catch_up(run):
                pass

    def catch_up(self, run: Run) -> bool:
        mine = run.status in MOVING and not run.inboxes
        if mine and self.progress == "immediate":
            self.run_on(run)
            return True
        due = run.since + self.seconds if mine and self.progress == "clock" else None
        if run.deadline is not None and run.deadline <= min(self.now, due or self.now):
            run.beats = abandoned(run, "expired")
            self.carry_on(run, run.deadline)
            return True
        if due is None or due > self.now:
            return False
        self.carry_on(run, due)
        return True


def is_open(run: Run) -> bool:
    """Whether a step is under way; it is always the last."""
    return bool(run.steps) and run.steps[-1][1] == "in_progress"


def abandoned(run: Run, status: str) -> list[Beat]:
    """What was under way ends with the run."""
    written = [("message.incomplete", None)] if run.written else []
    opened = [(f"step.{status}", None)] if is_open(run) else []
    return [*written, *opened, (f"run.{status}", None)]


def work(script: Iterable[Any]) -> list[Beat]:
    """The beats of a script, from in_progress to the end."""
    beats: list[Beat] = []
    steps = list(script)
    for index, step in enumerate(steps):
        kind = next(key for key in step if key not in ("chunk", "pause", "cut"))
        if kind in ENDS:
            return [*beats, ENDS[kind]]
        whole = parts_of(kind, step[kind]) if kind in SAYING else None
        beats += [("step.created", whole), ("step.in_progress", None)]
        if whole is not None:
            is_short = any("incomplete" in follower for follower in steps[index + 1 : index + 2])
            beats += [("message.created", None), ("message.in_progress", None)]
            beats += [("message.incomplete" if is_short else "message.completed", True)]
        if kind == "call":
            beats += [("run.requires_action", [call["name"] for call in step["call"]])]
            beats += [("step.completed", None), ("run.queued", None), ("run.in_progress", None)]
        else:
            beats += [("step.completed", None)]
    return [*beats, ("run.completed", None)]


SAYING = ("reply", "image", "refuse")
ENDS: dict[str, Beat] = {
    "fail": ("run.failed", None),
    "incomplete": ("run.incomplete", None),
    "error": ("error", None),
}


def parts_of(kind: str, value: Any) -> list[Any]:
    if kind == "image":
        return [{"type": "image_file", "image_file": {"file_id": value}}]
    if kind == "refuse":
        return [{"type": "refusal", "refusal": value}]
    given = [{"type": "text", "text": value}] if isinstance(value, str) else value
    return [_part(part) for part in given]


def _part(part: Any) -> Any:
    is_words = part["type"] == "text" and isinstance(part["text"], str)
    return {**part, "text": {"value": part["text"], "annotations": []}} if is_words else part


def words(message: dict[str, Any]) -> list[str]:
    return [part["text"]["value"] for part in message["content"] if part["type"] == "text" and part["text"]["value"]]
