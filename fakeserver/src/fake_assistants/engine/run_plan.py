"""An active run and its remaining events, and the settings that say when runs advance."""

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
    """The settings that say when runs advance.

    `read`: when a run is read (retrieve, list, poll, stream); each status is shown `reads` times, the response to
    the creation included. `immediate`: as soon as the creation is answered. `clock`: each status lasts `seconds` by
    the fake's clock. A streamed run advances with its stream in all three cases.
    """

    progress: By = attrs.field(default="read", validator=attrs.validators.in_(WAYS))
    reads: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    seconds: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    _first: Obj = attrs.field(init=False, repr=False, eq=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        self._first = self.json()

    def restart(self) -> None:
        """Restore the initial settings."""
        self.set(self._first)

    def copy(self) -> "Progress":
        """Return an independent copy with the current settings."""
        return Progress(progress=self.progress, reads=self.reads, seconds=self.seconds)

    def set(self, given: object) -> None:
        """Set those of `progress`, `reads` and `seconds` that are given. Raises BadInput and then changes nothing."""
        new = read_progress(given, self.json())
        self.progress, self.reads, self.seconds = new.progress, new.reads, new.seconds

    def json(self) -> Obj:
        """Return the settings in the form that `set` takes."""
        return {"progress": self.progress, "reads": self.reads, "seconds": self.seconds}


def read_progress(given: object, otherwise: Mapping[str, Any]) -> Progress:
    """Read settings from JSON; those that are not given are taken from `otherwise`. Raises BadInput."""
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
    """An event of a run, as a stream sends it: its name, such as `thread.run.created`, and the object."""

    name: str
    data: Any


# Pauses and cuts concern streams only; polling ignores them.
RunEvent = Event | Pause | Cut


@attrs.define(eq=False)
class RunPlan:
    """An active run and its remaining events.

    `run` is the run as the plan has stored it in the database; when a state stores another one there, the plan is
    dropped. `events` is the rest of the execution: each step of the iterator changes the database and yields an event,
    and the last step ends the run.
    """

    run: Obj
    events: Iterator[RunEvent] = attrs.field(factory=lambda: iter(()))
    now: int = 0  # the epoch second at which the next events happen
    deadline: int | None = None  # when the run expires
    since: int = 0  # the epoch second at which the current status began
    shown: int = 1  # how often the current status was shown; the response to the creation is the first time
    outputs: Mapping[str, str] = attrs.field(factory=dict)  # what was submitted, by call id
    message: Obj | None = None  # the message that is being written, as streams show it
    part: Obj | None = None  # the part of the message that is being streamed
    characters_sent: int = 0  # of that part
    asked: int = 0  # estimated tokens of the instructions and the last user message
    prompt: int = 0  # prompt tokens of all steps so far
    completion: int = 0  # completion tokens of all steps so far
    with_contents: bool = False  # whether the stream shows the texts that a file search found
    inboxes: list[deque[RunEvent]] = attrs.field(factory=list)

    @property
    def status(self) -> str:
        """The status of the run."""
        return str(self.run["status"])

    @property
    def key(self) -> tuple[str, str]:
        """The ids of the thread and of the run."""
        return self.run["thread_id"], self.run["id"]

    @property
    def is_streamed(self) -> bool:
        """Whether a stream of this run is open."""
        return bool(self.inboxes)
