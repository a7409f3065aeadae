"""What the model is asked in a run."""

from itertools import islice

import fake_assistants.tokens as tokens
from fake_assistants.core import Core
from fake_assistants.kinds import MESSAGES
from fake_assistants.script import Turn
from fake_assistants.shelf import Obj

_NEWEST = 50  # a script looks no further back: threads may have 100,000 messages


def turn_of(core: Core, run: Obj) -> Turn:
    """The turn of a run: its thread's newest messages, and the user's last words."""
    shelf = core.world.shelf(MESSAGES, run["thread_id"])
    newest = [shelf.at(place) for place in islice(reversed(shelf.places), _NEWEST)]
    words = next((text for text in map(_words, newest) if text), "")
    return Turn(kind="run", request=run, text=words, messages=tuple(reversed(newest)))


def asked_with(turn: Turn) -> int:
    """Tokens, roughly: the instructions and the user's last words."""
    instructions = turn.request.get("instructions")
    return tokens.count(turn.text) + tokens.count(instructions if isinstance(instructions, str) else "")


def _words(message: Obj) -> str:
    """The text of a user's message, "" for anybody else's. A state may have brought in any JSON."""
    content = message.get("content")
    if message.get("role") != "user" or not isinstance(content, list):
        return ""
    texts = [part.get("text") for part in content if isinstance(part, dict)]
    values = [text.get("value") for text in texts if isinstance(text, dict)]
    return "\n".join(value for value in values if isinstance(value, str))
