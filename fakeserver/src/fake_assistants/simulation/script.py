"""The model's answers: scripted, never random.

A script is a list of steps for each run. Without a script, the model repeats the user's last message.
"""

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import attrs

from fake_assistants.http.lossless_json import Obj
from fake_assistants.simulation.script_parser import ParsedScript, Step, parse_script, steps_of
from fake_assistants.user_input import plain

Kind = Literal["run", "response", "chat"]


@attrs.frozen(kw_only=True)
class Turn:
    """The input of the model.

    `request` is the run, or the body of a request to `/responses` or `/chat/completions`. `text` is the user's last
    message, "" if there is none. `messages` are the earlier messages: for a run those of the thread, oldest first.
    """

    kind: Kind
    request: Obj
    text: str = ""
    messages: tuple[Obj, ...] = ()

    @property
    def assistant_id(self) -> str | None:
        """The assistant of a run; None for other kinds."""
        return self.request.get("assistant_id") if self.kind == "run" else None

    @property
    def functions(self) -> frozenset[str]:
        """The names of the functions that the model may call. A loaded run may have any JSON as its tools."""
        tools = [*_objects(self.request.get("tools")), *_objects(self.request.get("functions"))]
        names = [tool.get("name") for one in tools for tool in (one, *_objects([one.get("function")]))]
        return frozenset(name for name in names if isinstance(name, str))


def _objects(given: Any) -> list[Obj]:
    return [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []


Predicate = Callable[[Turn], bool]

_QUEUES = ("runs", "responses", "searches")

_LEVELS = 400  # less than an object's limit, so that a step or a message can contain a script's values

_NO_INPUT = "I have nothing to echo."


def echo(turn: Turn) -> tuple[Step, ...]:
    """Return the answer to a turn without a script: the user's last message."""
    return (Step("reply", ({"type": "text", "text": {"value": turn.text or _NO_INPUT, "annotations": []}},)),)


class Script:
    """The script of one fake.

    The first of these answers a turn: a predicate (the newest first), the queue of `runs` (of `responses` for other
    kinds), the steps of the run's assistant, the default, the echo. `searches` answers searches in vector stores.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Remove all steps and predicates: the model echoes."""
        self._parsed = ParsedScript()
        self._given: Obj = {}
        self._taken = dict.fromkeys(_QUEUES, 0)
        self._rules: list[tuple[Predicate, tuple[Step, ...]]] = []
        self._unknown: dict[str, None] = {}

    def set(self, given: object) -> None:
        """Use a script, given as JSON: `default`, `runs`, `responses`, `assistants`, `searches`.

        Predicates are not changed. Raises BadInput with the path of the wrong value, and then changes nothing.
        """
        own = plain(given, levels=_LEVELS)
        self._parsed, self._given = parse_script(own), own
        self._taken = dict.fromkeys(_QUEUES, 0)
        self._unknown = {}

    def when(self, predicate: Predicate, steps: Iterable[Mapping[str, Any]]) -> None:
        """Answer turns for which `predicate` is true with these steps. Raises BadInput."""
        self._rules.insert(0, (predicate, steps_of(plain(list(steps), levels=_LEVELS), "$")))

    def json(self) -> Obj:
        """Return the script as `set` takes it, without the steps already used."""
        queues = {name: self._given[name][taken:] for name, taken in self._taken.items() if name in self._given}
        return {**self._given, **queues}

    def copy(self) -> "Script":
        """Return an independent script with the steps that are left here."""
        duplicate = copy.copy(self)
        duplicate._taken, duplicate._rules = dict(self._taken), list(self._rules)  # noqa: SLF001 - the same class
        duplicate._unknown = {}  # noqa: SLF001
        return duplicate

    def steps(self, turn: Turn) -> tuple[Step, ...]:
        """Return the steps for a turn, and remove them if they are from a queue."""
        steps = self._chosen(turn)
        called = [call["name"] for step in steps if step.kind == "call" for call in step.value]
        self._unknown |= dict.fromkeys(name for name in called if name not in turn.functions)
        return steps

    @property
    def unknown_functions(self) -> tuple[str, ...]:
        """The functions that this script called, and that were not among the tools of the run or request.

        They are called all the same: real models did so too.
        """
        return tuple(self._unknown)

    def _chosen(self, turn: Turn) -> tuple[Step, ...]:
        for predicate, steps in self._rules:
            if predicate(turn):
                return steps
        queued = self._next("runs" if turn.kind == "run" else "responses")
        if queued is not None:
            return queued
        own = self._parsed.assistants.get(turn.assistant_id or "", self._parsed.default)
        return echo(turn) if own is None else own

    def search(self) -> tuple[Obj, ...] | None:
        """Return the scripted results of the next search in a vector store; None if there are none."""
        return copy.deepcopy(self._next("searches"))

    def _next(self, queue: str) -> tuple[Any, ...] | None:
        rows: tuple[tuple[Any, ...], ...] = getattr(self._parsed, queue)
        if self._taken[queue] >= len(rows):
            return None
        self._taken[queue] += 1
        return rows[self._taken[queue] - 1]
