"""What the model answers: scripted, never random.

A script is a list of steps for each run. Where nothing is scripted, the model echoes the user's last words.
"""

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import attrs

from fake_assistants.http.lossless_json import Obj
from fake_assistants.simulation.script_parser import Book, Step, book, steps_of
from fake_assistants.user_input import plain

Kind = Literal["run", "response", "chat"]


@attrs.frozen(kw_only=True)
class Turn:
    """What the model is asked: `request` is the run, or the body of the request to `/responses` or
    `/chat/completions`. `text` is the user's last words, "" when there are none. `messages` is what was said
    so far: of a run the thread's messages, oldest first.
    """

    kind: Kind
    request: Obj
    text: str = ""
    messages: tuple[Obj, ...] = ()

    @property
    def assistant_id(self) -> str | None:
        """The assistant of a run; None elsewhere."""
        return self.request.get("assistant_id") if self.kind == "run" else None


Predicate = Callable[[Turn], bool]

_QUEUES = ("runs", "responses", "searches")

_LEVELS = 400  # below what an object of a database may have, so that a step or a message can hold what a script brought

_SPEECHLESS = "I have nothing to echo."


def echo(turn: Turn) -> tuple[Step, ...]:
    """What is answered where nothing is scripted: the user's own words."""
    return (Step("reply", ({"type": "text", "text": {"value": turn.text or _SPEECHLESS, "annotations": []}},)),)


class Script:
    """The script of one fake. What serves a turn, first found: a predicate (the newest first), the queue of
    `runs` (of `responses` for the other routes), the run's assistant, the default, the echo. `searches` serves the
    searches in vector stores.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything: the model echoes."""
        self._book = Book()
        self._given: Obj = {}
        self._taken = dict.fromkeys(_QUEUES, 0)
        self._rules: list[tuple[Predicate, tuple[Step, ...]]] = []

    def set(self, given: object) -> None:
        """Follow a script, given as JSON: `default`, `runs`, `responses`, `assistants`, `searches`.

        Predicates stay. Raises BadInput with the path of what is wrong, and then nothing has changed.
        """
        own = plain(given, levels=_LEVELS)
        self._book, self._given = book(own), own
        self._taken = dict.fromkeys(_QUEUES, 0)

    def when(self, predicate: Predicate, steps: Iterable[Mapping[str, Any]]) -> None:
        """Answer the turns of which `predicate` is true with these steps. Raises BadInput."""
        self._rules.insert(0, (predicate, steps_of(plain(list(steps), levels=_LEVELS), "$")))

    def json(self) -> Obj:
        """The script as `set` takes it, without what is used up."""
        queues = {name: self._given[name][taken:] for name, taken in self._taken.items() if name in self._given}
        return {**self._given, **queues}

    def copy(self) -> "Script":
        """A script of its own that begins with what is left here."""
        twin = copy.copy(self)
        twin._taken, twin._rules = dict(self._taken), list(self._rules)  # noqa: SLF001 - its own kind
        return twin

    def steps(self, turn: Turn) -> tuple[Step, ...]:
        """The steps that serve a turn. A queue gets shorter by it."""
        for predicate, steps in self._rules:
            if predicate(turn):
                return steps
        queued = self._next("runs" if turn.kind == "run" else "responses")
        if queued is not None:
            return queued
        own = self._book.assistants.get(turn.assistant_id or "", self._book.default)
        return echo(turn) if own is None else own

    def search(self) -> tuple[Obj, ...] | None:
        """Return the results that are scripted for the next search in a vector store; None where nothing is."""
        return copy.deepcopy(self._next("searches"))

    def _next(self, queue: str) -> tuple[Any, ...] | None:
        rows: tuple[tuple[Any, ...], ...] = getattr(self._book, queue)
        if self._taken[queue] >= len(rows):
            return None
        self._taken[queue] += 1
        return rows[self._taken[queue] - 1]
