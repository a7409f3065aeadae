"""A seeded world to look at: conversations that hold every kind of content part, and the odd things too."""

from collections.abc import Callable

import attrs

from fake_assistants.http.lossless_json import Obj
from fake_assistants.simulation.clock import EPOCH
from fake_assistants.store.ids import IdSource
from fake_assistants.store.import_file import uncollected
from fake_assistants.store.snapshot import State, empty

_DAY = 24 * 60 * 60

# Seconds between a message and the next. Ties are common in the recordings, so they are common here.
_PAUSES = (0, 1, 7, 0, 0, 43, 12)

_TOPICS = (
    ("the invoice of March", "The total is 1,204.50 EUR, due on the 14th."),
    ("our holiday policy", "You have 27 days a year; 5 may be carried over."),
    ("the equation 3x + 11 = 14", "Subtract 11 and divide by 3: \\(x = 1\\)."),
    ("sourdough for beginners", "Feed the starter twice, then wait until it floats."),
    ("the login error 0x80070005", "Access was denied. Run the installer as administrator."),
    ("a name for the cat", "How about Pixel? It suits a cat that sits in boxes."),
    ("the train to Łódź", "It leaves at 09:12 from platform 4 and takes 1 h 25 min."),
)


@attrs.frozen
class _Setting:
    """What a scene is played with."""

    ids: IdSource
    about: str
    answer: str

    def file(self) -> str:
        return self.ids.draw("file-")


@uncollected()
def demo_world(threads: int = 4, messages: int = 25, *, seed: int = 0) -> State:
    """A state with so many threads of so many messages each; the same for the same seed.

    Threads of 16 messages or more hold every kind of content part each.
    """
    ids = IdSource(seed)
    state = empty()
    state["assistants"] = [_assistant(ids, name) for name in ("Office Guide", "Math Tutor")]
    for number in range(threads):
        thread = _thread(ids, number)
        author = state["assistants"][number % 2]["id"]
        state["threads"].append(thread)
        state["messages"] += _conversation(ids, thread, author, number, messages)
    return state


def _assistant(ids: IdSource, name: str) -> Obj:
    return {
        "id": ids.draw("asst_"),
        "object": "assistant",
        "created_at": EPOCH - 400 * _DAY,
        "name": name,
        "description": None,
        "model": "gpt-4o-mini",
        "instructions": "Answer briefly and say where you know it from.",
        "tools": [{"type": "code_interpreter"}],
        "top_p": 1.0,
        "temperature": 1.0,
        "reasoning_effort": None,
        "tool_resources": {"code_interpreter": {"file_ids": []}},
        "metadata": {},
        "response_format": "auto",
    }


def _thread(ids: IdSource, number: int) -> Obj:
    return {
        "id": ids.draw("thread_"),
        "object": "thread",
        "created_at": EPOCH - 300 * _DAY + number * 3 * 60 * 60,
        "metadata": {"customer": f"customer-{number}"} if number % 3 else {},
        "tool_resources": {},
    }


def _conversation(ids: IdSource, thread: Obj, author: str, number: int, count: int) -> list[Obj]:
    """User and assistant take turns; each thread begins at another scene."""
    begin = number * 2
    when = thread["created_at"]
    rows = []
    for turn in range(count):
        scene = _SCENES[(begin + turn) % len(_SCENES)]
        topic = _TOPICS[(number + turn // 2) % len(_TOPICS)]
        when += _PAUSES[turn % len(_PAUSES)]
        by_run = turn % 2 == 1
        head = {
            "id": ids.draw("msg_"),
            "object": "thread.message",
            "created_at": when,
            "assistant_id": author if by_run else None,
            "thread_id": thread["id"],
            "run_id": ids.draw("run_") if by_run else None,
            "role": "assistant" if by_run else "user",
            "content": [],
            "attachments": [],
            "metadata": {},
        }
        rows.append(head | scene(_Setting(ids, *topic)))
    return rows


# --- scenes: even ones are a user's, odd ones an assistant's -------------------------------------------


def _text(value: str, *annotations: Obj) -> Obj:
    return {"type": "text", "text": {"value": value, "annotations": list(annotations)}}


def _note(kind: str, value: str, marker: str, file_id: str) -> Obj:
    """An annotation of the first place where the marker stands; offsets are code points (recorded)."""
    start = value.index(marker)
    end = start + len(marker)
    return {
        "type": kind,
        "text": marker,
        "start_index": start,
        "end_index": end,
        kind: {"file_id": file_id},
    }


def _question(at: _Setting) -> Obj:
    return {"content": [_text(f"Can you tell me about {at.about}?")]}


def _answer(at: _Setting) -> Obj:
    return {"content": [_text(at.answer)]}


def _with_picture(at: _Setting) -> Obj:
    file_id = at.file()
    return {
        "content": [
            _text(f"This is what I have on {at.about}:"),
            {"type": "image_file", "image_file": {"file_id": file_id, "detail": "auto"}},
            _text("Is it right?"),
        ],
        "attachments": [{"file_id": file_id, "tools": [{"type": "code_interpreter"}]}],
    }


def _with_citations(at: _Setting) -> Obj:
    first, second = "【4:0†handbook.txt】", "【4:1†faq.txt】"
    value = f"{at.answer}{first}{second}"
    notes = [_note("file_citation", value, marker, at.file()) for marker in (first, second)]
    return {"content": [_text(value, *notes)]}


def _with_link(at: _Setting) -> Obj:
    picture = {"url": "https://example.com/scan.png", "detail": "low"}
    return {
        "content": [
            {"type": "image_url", "image_url": picture},
            _text(f"Does this page help with {at.about}?"),
        ]
    }


def _with_file(at: _Setting) -> Obj:
    marker = "sandbox:/mnt/data/summary.csv"
    value = f"Here is a chart, and the table: [summary.csv]({marker})"
    return {
        "content": [
            {"type": "image_file", "image_file": {"file_id": at.file()}},
            _text(value, _note("file_path", value, marker, at.file())),
        ]
    }


def _in_scripts(at: _Setting) -> Obj:
    value = f"Grüße! 你好, שלום, 🌮👩‍🚀 𝒙\u2028a new line of {at.about}\r\n\tand a tab, \u0085 too"
    return {"content": [_text(value)]}


def _in_parts(at: _Setting) -> Obj:
    return {"content": [_text("Let me look."), _text(at.answer), _text("Anything else?\n")]}


def _with_metadata(at: _Setting) -> Obj:
    metadata = {"source": "web", "ticket": "4711", "ключ": "значение 🗝"}
    return {"content": [_text(f"One more thing about {at.about}.")], "metadata": metadata}


def _refusal(at: _Setting) -> Obj:
    return {"content": [{"type": "refusal", "refusal": f"I'm sorry, I can't say more about {at.about}."}]}


def _unknown_part(_: _Setting) -> Obj:
    part = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav", "seconds": 1.0}}
    return {"content": [part, _text("Did you hear that?")]}


def _nothing(_: _Setting) -> Obj:
    return {"content": []}


def _attached_twice(at: _Setting) -> Obj:
    file_id = at.file()
    tools = ("file_search", "code_interpreter")
    return {
        "content": [_text("Search it and compute with it, please.")],
        "attachments": [{"file_id": file_id, "tools": [{"type": tool}]} for tool in tools],
    }


def _by_hand(at: _Setting) -> Obj:
    """An assistant message that somebody added by hand, from a server that knows more fields."""
    return {
        "content": [_text(f"(from an older chat) {at.answer}")],
        "assistant_id": None,
        "run_id": None,
        "imported": {"score": 1.0, "serial": 2**53 + 1},
    }


def _thanks(_: _Setting) -> Obj:
    return {"content": [_text("Thanks!")]}


def _left_markers(at: _Setting) -> Obj:
    return {"content": [_text(f"{at.answer}【13†source】 And again【13†source】.")]}


_SCENES: tuple[Callable[[_Setting], Obj], ...] = (
    _question,
    _answer,
    _with_picture,
    _with_citations,
    _with_link,
    _with_file,
    _in_scripts,
    _in_parts,
    _with_metadata,
    _refusal,
    _unknown_part,
    _nothing,
    _attached_twice,
    _by_hand,
    _thanks,
    _left_markers,
)
