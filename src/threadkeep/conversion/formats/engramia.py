"""Patterns for Engramia: a line for each question and its answer, as its migration guide forms them.

A pair is a user's message and the assistant's message that follows it directly, in the server's order (the guide sorts
by time, which puts messages of one second in any order). Each line has the arguments of ``Memory.learn``, under their
names. All other messages are losses.

``learn`` of engramia 0.6.6, and its REST route, take 10,000 code points of ``task`` and 500,000 of ``code`` and refuse
longer ones. These are the limits here: the guide's own, 2,000 and 8,000, would cut texts that Engramia stores. A text
with a lone surrogate is written complete; ``learn`` raises on that line.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from threadkeep.conversion.content import Carries, carry, thread_losses
from threadkeep.conversion.job import Conversion, Options
from threadkeep.conversion.losses import Loss
from threadkeep.conversion.source import PlainMessage, Thread, Turn
from threadkeep.records.model import TextPart
from threadkeep.serialization.lossless_json import dumps
from threadkeep.storage.private_files import create

__all__ = ["DESCRIPTION", "NO_PLACE", "Pair", "pairs_of", "write"]

DESCRIPTION = "Patterns for Engramia, a line for each user's message with its answer."
NO_PLACE = (
    "ids of messages, assistants and runs",
    "times",
    "status",
    "runs",
    "tool_resources",
    "unknown fields",
)

_CARRIES: Carries = {"user": set(), "assistant": set()}
_LONGEST = {"task": 10_000, "code": 500_000}


@attrs.frozen
class Pair:
    """A question with its answer, or a message that is in no pair.

    Attributes:
        line: the arguments of ``learn``; None if nothing is to be learned.
        message_ids: of the question and the answer, or of the one message.
        losses: what the line does not carry.
    """

    line: dict[str, Any] | None
    message_ids: tuple[str, ...]
    losses: tuple[Loss, ...]


def write(threads: Iterable[Thread], path: Path, conversion: Conversion) -> None:
    """Write the pairs. Of a message that is in none, nothing but the message itself is reported as lost."""
    with create(path) as file:
        for thread in threads:
            conversion.lose(thread_losses(thread.thread_id, thread.thread))
            for pair in pairs_of(thread, conversion.options):
                conversion.lose(pair.losses)
                if pair.line is not None:
                    file.write(dumps(pair.line) + b"\n")


def pairs_of(thread: Thread, options: Options) -> Iterator[Pair]:
    """Yield the pairs of a thread, and the messages that are in none, in the order of the thread.

    Raises:
        MalformedLine, OutputUnusable: as reading the thread does.
    """
    for turns in _pairs(thread.turns()):
        line, losses = _line(turns, options, thread.files)
        yield Pair(line, tuple(turn.message_id for turn in turns), tuple(losses))


def _line(
    turns: tuple[Turn] | tuple[Turn, Turn], options: Options, files: Mapping[str, Path]
) -> tuple[dict[str, Any] | None, Iterable[Loss]]:
    if len(turns) == 1:
        return None, [_lost(turns[0], _why_unpaired(turns[0].role))]
    question, answer = turns
    (task, lost_of_task), (code, lost_of_code) = (_text(turn, options, files) for turn in turns)
    if not task.strip() or not code.strip():
        whys = [_NO_TEXT if not text.strip() else why for text, why in ((task, _NO_ANSWER), (code, _NO_QUESTION))]
        return None, map(_lost, turns, whys)
    line = {
        "task": task[: _LONGEST["task"]],
        "code": code[: _LONGEST["code"]],
        "eval_score": 5.0,  # neutral: whether the answer was good is not known
        "source": "import",
        "run_id": f"openai-thread:{question.thread_id}",
    }
    return line, [*lost_of_task, *_cut(question, "task", task), *lost_of_code, *_cut(answer, "code", code)]


def _pairs(turns: Iterable[Turn]) -> Iterator[tuple[Turn] | tuple[Turn, Turn]]:
    """Yield each question with its answer, and every other message alone."""
    question: Turn | None = None
    for turn in turns:
        if question is not None:
            if turn.role == "assistant":
                yield question, turn
                question = None
                continue
            yield (question,)
        question = turn if turn.role == "user" else None
        if question is None:
            yield (turn,)
    if question is not None:
        yield (question,)


_NO_TEXT = "its text is blank, and a pair needs two texts"
_NO_ANSWER = "the text of its answer is blank, and a pair needs two texts"
_NO_QUESTION = "the text of its question is blank, and a pair needs two texts"


def _why_unpaired(role: str | None) -> str:
    if role == "user":
        return "no answer of the assistant follows it"
    if role == "assistant":
        return "no user's message is directly before it"
    return f"the role is {role!r}, and a pair is of a user and an assistant"


def _lost(turn: Turn, why: str) -> Loss:
    return Loss(turn.thread_id, turn.message_id, "message", why)


def _text(turn: Turn, options: Options, files: Mapping[str, Path]) -> tuple[str, Iterable[Loss]]:
    if isinstance(turn, PlainMessage):
        return turn.text, ()
    carried = carry(turn, _CARRIES, options, files)
    return "\n".join(part.value for part in carried.parts if isinstance(part, TextPart)), carried.losses


def _cut(turn: Turn, key: str, text: str) -> Iterator[Loss]:
    if len(text) > _LONGEST[key]:
        why = f"truncated: it has {len(text):,} code points, and Engramia takes {_LONGEST[key]:,} as {key}"
        yield Loss(turn.thread_id, turn.message_id, "text", why)
