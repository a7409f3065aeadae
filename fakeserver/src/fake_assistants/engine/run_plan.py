"""A run on its way: how runs move on, and what is still to happen in each."""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import attrs

from fake_assistants.http.lossless_json import Obj
from fake_assistants.http.message import Cut, Pause
from fake_assistants.user_input import BadInput

By = Literal["read", "immediate", "clock"]
WAYS: tuple[By, ...] = ("read", "immediate", "clock")


@attrs.define(kw_only=True)
class Progress:
    """How runs move on.

    `read`: reading a run (retrieve, list, poll, stream) carries it on; each status is shown `reads` times, the
    answer to the creation included. `immediate`: at once, as soon as the creation is answered. `clock`: each
    status lasts `seconds` by the fake's clock. A stream carries its run on whatever is set here.
    """

    progress: By = attrs.field(default="read", validator=attrs.validators.in_(WAYS))
    reads: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    seconds: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    _first: Obj = attrs.field(init=False, repr=False, eq=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        self._first = self.json()

    def restart(self) -> None:
        """Back to how it was made."""
        self.set(self._first)

    def copy(self) -> "Progress":
        """One of its own that begins as this one is."""
        return Progress(progress=self.progress, reads=self.reads, seconds=self.seconds)

    def set(self, given: object) -> None:
        """Take over the given ones of `progress`, `reads` and `seconds`. Raises BadInput, and nothing has changed."""
        new = read_progress(given, self.json())
        self.progress, self.reads, self.seconds = new.progress, new.reads, new.seconds

    def json(self) -> Obj:
        """In the form that `set` takes."""
        return {"progress": self.progress, "reads": self.reads, "seconds": self.seconds}


def read_progress(given: object, otherwise: Mapping[str, Any]) -> Progress:
    """A progress from JSON; what is not given is as `otherwise`. Raises BadInput."""
    if not isinstance(given, Mapping):
        raise BadInput("expected an object with progress, reads or seconds")
    for key in given:
        if key not in otherwise:
            raise BadInput(f"unknown key; known are {', '.join(otherwise)}", f"$.{key}")
    values = {**otherwise, **given}
    if values["progress"] not in WAYS:
        raise BadInput(f"expected one of {', '.join(WAYS)}", "$.progress")
    for key in ("reads", "seconds"):
        if type(values[key]) is not int or not 1 <= values[key] <= 10**9:
            raise BadInput("expected a whole number, 1 or more", f"$.{key}")
    return Progress(**values)


@attrs.frozen
class Event:
    """Something that happens in a run, as a stream tells it: `thread.run.created` and the object."""

    name: str
    data: Any


# Pauses and cuts are for those who stream; whoever polls passes over them.
RunEvent = Event | Pause | Cut


@attrs.define(eq=False)
class RunPlan:
    """One run on its way.

    `run` is the run as the plan has put it into the database; when a state puts something else there, the run is in
    somebody else's hand, and the plan is dropped. `story` tells what is still to happen: each step of it changes
    the database and gives a beat, and the last ends the run.
    """

    run: Obj
    story: Iterator[RunEvent] = attrs.field(factory=lambda: iter(()))
    moment: int = 0  # the epoch second at which the story happens
    deadline: int | None = None  # when the run expires
    since: int = 0  # when the present status began
    shown: int = 1  # how often the present status was shown; the answer to the creation shows it once
    outputs: Mapping[str, str] = attrs.field(factory=dict)  # what was submitted, by call id
    message: Obj | None = None  # the message that is being written, as streams show it
    part: Obj | None = None  # the part of it that is being told, and how many characters of that were
    told: int = 0
    asked: int = 0  # tokens that the model is asked with
    prompt: int = 0  # tokens of all steps so far
    completion: int = 0
    with_contents: bool = False  # whether a stream shows what a file search found
    inboxes: list[deque[RunEvent]] = attrs.field(factory=list)

    @property
    def status(self) -> str:
        """Of the run."""
        return str(self.run["status"])

    @property
    def key(self) -> tuple[str, str]:
        """Thread and run."""
        return self.run["thread_id"], self.run["id"]

    @property
    def is_heard(self) -> bool:
        """Whether anybody streams this run."""
        return bool(self.inboxes)
