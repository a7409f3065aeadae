"""A made-up account: assistants, threads over a year in several languages with their runs, and files that open."""

import base64
import hashlib
import struct
import zlib
from collections.abc import Callable, Sequence
from itertools import chain, pairwise

import attrs

import fake_assistants.simulation.tokens as tokens
from fake_assistants.engine.run_shapes import step, usage
from fake_assistants.http.lossless_json import Obj
from fake_assistants.resources.runs import INHERITED, UNSET
from fake_assistants.simulation.clock import EPOCH
from fake_assistants.store.ids import IdSource
from fake_assistants.store.import_file import uncollected
from fake_assistants.store.snapshot import State, empty

_DAY = 24 * 60 * 60
_YEAR = 365 * _DAY

# Seconds between a message and the next. Ties are common in the recordings, so they are common here.
_PAUSES = (0, 1, 7, 0, 0, 43, 12)

# A conversation pauses after this many messages, for at most this many seconds.
_SESSION_LENGTH, _LONGEST_PAUSE = 24, 3 * _DAY

# The longest thread of those whose length is drawn.
_MAX_LENGTH = 400

# A demo of more messages has no runs: with its step, a run takes 6 KB of memory, twice as much as its two messages.
_MOST_WITH_RUNS = 100_000


@attrs.frozen
class _Topic:
    """The subject of a few messages. `numbers` is the content of its chart and its table."""

    name: str
    question: str
    answer: str
    numbers: tuple[int, ...] = (3, 5, 2, 8)


@attrs.frozen
class _Role:
    """An assistant, and the topics that it is asked about."""

    name: str
    model: str
    instructions: str
    tools: tuple[str, ...]
    topics: tuple[_Topic, ...]


_SUM_IN_PYTHON = """Use the `csv` module:

```python
import csv

with open("data.csv", newline="") as file:
    rows = list(csv.reader(file))
print(sum(float(row[1]) for row in rows[1:]))
```

The first row is the head."""

_INDEX_IN_SQL = """It scans the table. Create an index:

```sql
CREATE INDEX by_customer ON orders (customer, placed_at);
```"""

_ROLES = (
    _Role(
        "Office Guide",
        "gpt-4o-mini",
        "Answer from the handbook, and say where you found it.",
        ("code_interpreter", "file_search"),
        (
            _Topic(
                "invoice-march",
                "What is still open on the invoice of March?",
                "The total is 1,204.50 EUR. It is due on the 14th.",
                (1204, 880, 1530, 990),
            ),
            _Topic(
                "holidays",
                "How many days of holiday do I have left?",
                "You have 27 days a year. Five of them may be carried over.",
                (27, 5, 12, 10),
            ),
            _Topic(
                "login-error",
                "The installer stops with error 0x80070005. What now?",
                "Access was denied. Run the installer as administrator:\n\n1. Right-click it.\n2. Choose *Run as "
                "administrator*.",
            ),
        ),
    ),
    _Role(
        "Math Tutor",
        "gpt-4o",
        "Show every step.",
        ("code_interpreter",),
        (
            _Topic(
                "equation", "Solve 3x + 11 = 14, please.", "Subtract 11 and divide by 3: \\(x = 1\\).", (1, 3, 11, 14)
            ),
            _Topic(
                "compound-interest",
                "What becomes of 1000 EUR at 3 % after 10 years?",
                "\\[1000 \\cdot 1.03^{10} \\approx 1343.92\\]\n\nSo it is 1,343.92 EUR.",
                (1000, 1093, 1194, 1344),
            ),
        ),
    ),
    _Role(
        "Code Helper",
        "gpt-4o",
        "Answer with code that runs.",
        ("code_interpreter",),
        (
            _Topic(
                "read-csv",
                "How do I sum the second column of a CSV file in Python?",
                _SUM_IN_PYTHON,
                (12, 30, 18, 44),
            ),
            _Topic(
                "sql-index",
                "Why is this query slow?\n\n```sql\nSELECT * FROM orders WHERE customer = 42 ORDER BY placed_at;\n```",
                _INDEX_IN_SQL,
                (900, 410, 35, 4),
            ),
        ),
    ),
    _Role(
        "Travel Desk",
        "gpt-4o-mini",
        "Answer in the language of the question.",
        ("file_search",),
        (
            _Topic("zug", "Wann fährt morgen der Zug nach Łódź?", "Um 9:12 Uhr von Gleis 4; er braucht 1 h 25 min."),
            _Topic(
                "museo",
                "¿Qué museo está abierto el lunes?",
                "El Museo del Prado abre de 10:00 a 20:00. ¡Que disfrutes!",
            ),
            _Topic("ticket", "明天去京都的票多少钱？", "普通座是13,320日元，大约两个半小时。"),
            _Topic("hotel", "هل الفندق قريب من المحطة؟", "نعم، يبعد خمس دقائق سيرًا على الأقدام."),
            _Topic("bagages", "Combien de bagages puis-je emporter ?", "Deux valises de 23 kg, et un bagage à main."),
        ),
    ),
)


@attrs.frozen
class _Files:
    """The ids of the files that messages refer to."""

    scan: str
    handbook: str
    faq: str
    charts: dict[str, str]
    tables: dict[str, str]


@attrs.frozen
class _SceneContext:
    """The topic and the files of a scene."""

    topic: _Topic
    files: _Files

    @property
    def question(self) -> str:
        return self.topic.question

    @property
    def answer(self) -> str:
        return self.topic.answer


@uncollected()
def demo_world(threads: int = 4, messages: int | None = 25, *, seed: int = 0) -> State:
    """Return a state with this many threads, and this many messages in each; the same for the same seed.

    With `messages=None` the lengths of threads differ: most are short, some are empty, the longest have some hundreds
    of messages. Each thread of 16 messages or more has every kind of content part. The threads were created over a
    year. The files and the runs that messages name are in the state; images and tables can be downloaded. Each run has
    one step. With more than 100,000 messages there are no runs, and no message names one.
    """
    ids = IdSource(seed)
    state = empty()
    files = _add_files(state, ids)
    state["assistants"] = [_assistant(ids, role, state["vector_stores"][0]["id"]) for role in _ROLES]
    counts = [_length(seed, number) if messages is None else messages for number in range(threads)]
    has_runs = sum(counts) <= _MOST_WITH_RUNS
    for number, count in enumerate(counts):
        role, author = _ROLES[number % len(_ROLES)], state["assistants"][number % len(_ROLES)]
        thread = _thread(ids, number, threads)
        state["threads"].append(thread)
        settings = [_SceneContext(topic, files) for topic in role.topics]
        talk = _conversation(ids, thread, author["id"], number, count, settings)
        state["messages"] += talk
        _add_runs(state, author, talk) if has_runs else _forget_runs(talk)
    return state


def _length(seed: int, number: int) -> int:
    """Return a random length for a thread: half of them are shorter than an eighth of the maximum."""
    drawn = int.from_bytes(hashlib.sha256(f"{seed}:{number}".encode()).digest()[:4]) / 2**32
    return int((_MAX_LENGTH + 1) * drawn**3)


def _assistant(ids: IdSource, role: _Role, store_id: str) -> Obj:
    resources = {"code_interpreter": {"file_ids": []}, "file_search": {"vector_store_ids": [store_id]}}
    return {
        "id": ids.draw("asst_"),
        "object": "assistant",
        "created_at": EPOCH - 400 * _DAY,
        "name": role.name,
        "description": None,
        "model": role.model,
        "instructions": role.instructions,
        "tools": [{"type": tool} for tool in role.tools],
        "top_p": 1.0,
        "temperature": 1.0,
        "reasoning_effort": None,
        "tool_resources": {tool: resources[tool] for tool in role.tools},
        "metadata": {},
        "response_format": "auto",
    }


def _thread(ids: IdSource, number: int, of: int) -> Obj:
    return {
        "id": ids.draw("thread_"),
        "object": "thread",
        "created_at": EPOCH - _YEAR + number * (_YEAR - _DAY) // of,
        "metadata": {"customer": f"customer-{number}"} if number % 3 else {},
        "tool_resources": {},
    }


def _conversation(
    ids: IdSource, thread: Obj, author: str, number: int, count: int, settings: Sequence[_SceneContext]
) -> list[Obj]:
    """Return messages of user and assistant in turn. Each thread starts at another scene; later most are plain."""
    first = number * 2
    when = thread["created_at"]
    pause = min(_LONGEST_PAUSE, (EPOCH - when) // (count // _SESSION_LENGTH + 2))
    rows = []
    for turn in range(count):
        scenes = _SCENES if turn < len(_SCENES) else _USUAL
        scene = scenes[(first + turn) % len(scenes)]
        when += _PAUSES[turn % len(_PAUSES)] if turn % _SESSION_LENGTH or not turn else pause
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
        rows.append(head | scene(settings[(number + turn // 2) % len(settings)]))
    return rows


def _add_runs(state: State, author: Obj, talk: Sequence[Obj]) -> None:
    """Add the runs that wrote the answers of a thread, each with a step."""
    for asked, answer in pairwise(talk):
        if answer["run_id"]:
            run = _run(author, asked, answer)
            state["runs"].append(run)
            state["run_steps"].append(_step(run, answer["id"]))


def _forget_runs(talk: Sequence[Obj]) -> None:
    """Let no message name a run. Its id was drawn all the same, so the other ids do not depend on the size."""
    for message in talk:
        message["run_id"] = None


def _run(author: Obj, asked: Obj, answer: Obj) -> Obj:
    """Return the completed run that wrote an answer, from the message before it on."""
    return {
        "id": answer["run_id"],
        "object": "thread.run",
        "created_at": asked["created_at"],
        "assistant_id": author["id"],
        "thread_id": answer["thread_id"],
        **UNSET,
        **{key: author[key] for key in INHERITED},
        "status": "completed",
        "started_at": asked["created_at"],
        "completed_at": answer["created_at"],
        "usage": usage(_tokens(asked) + tokens.count(author["instructions"]), _tokens(answer)),
    }


def _step(run: Obj, message_id: str) -> Obj:
    """Return the only step of a run: its message. The id is that of the run, so that none is drawn."""
    head = {"id": run["id"].replace("run_", "step_", 1), "created_at": run["completed_at"]}
    opened = step(head, run, "message_creation", {"message_creation": {"message_id": message_id}})
    return {**opened, "status": "completed", "completed_at": run["completed_at"], "usage": run["usage"]}


def _tokens(message: Obj) -> int:
    return sum(tokens.count(part["text"]["value"]) for part in message["content"] if part["type"] == "text")


# --- files ----------------------------------------------------------------------------------------------


def _add_files(state: State, ids: IdSource) -> _Files:
    """Add the files of the account, and a vector store with those for search."""

    def add(filename: str, purpose: str, content: bytes) -> str:
        file_id = ids.draw("file-")
        file = {
            "object": "file",
            "id": file_id,
            "purpose": purpose,
            "filename": filename,
            "bytes": len(content),
            "created_at": EPOCH - 400 * _DAY,
            "expires_at": None,
            "status": "processed",
            "status_details": None,
        }
        state["files"].append(file)
        state["file_contents"].append({"id": file_id, "content": base64.b64encode(content).decode("ascii")})
        return file_id

    topics = [topic for role in _ROLES for topic in role.topics]
    handbook = add("handbook.txt", "assistants", _text_file(_ROLES[0].topics))
    faq = add("faq.txt", "assistants", _text_file(topics))
    files = _Files(
        scan=add("scan.png", "vision", _chart(tuple(range(1, 13)))),
        handbook=handbook,
        faq=faq,
        charts={topic.name: add(f"{topic.name}.png", "assistants_output", _chart(topic.numbers)) for topic in topics},
        tables={topic.name: add(f"{topic.name}.csv", "assistants_output", _table(topic.numbers)) for topic in topics},
    )
    _add_store(state, ids, (handbook, faq))
    return files


def _add_store(state: State, ids: IdSource, file_ids: Sequence[str]) -> None:
    sizes = {file["id"]: file["bytes"] for file in state["files"]}
    head = {"id": ids.draw("vs_"), "object": "vector_store", "created_at": EPOCH - 400 * _DAY, "name": "Handbook"}
    used = sum(sizes[file_id] for file_id in file_ids)
    counts = {"in_progress": 0, "completed": len(file_ids), "failed": 0, "cancelled": 0, "total": len(file_ids)}
    rest = {"status": "completed", "expires_after": None, "expires_at": None, "last_active_at": EPOCH - _DAY}
    state["vector_stores"].append(head | {"usage_bytes": used, "file_counts": counts} | rest | {"metadata": {}})
    state["vector_store_files"] += [
        {
            "id": file_id,
            "object": "vector_store.file",
            "usage_bytes": sizes[file_id],
            "created_at": EPOCH - 400 * _DAY,
            "vector_store_id": head["id"],
            "status": "completed",
            "last_error": None,
            "chunking_strategy": {
                "type": "static",
                "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400},
            },
            "attributes": {},
        }
        for file_id in file_ids
    ]


def _text_file(topics: Sequence[_Topic]) -> bytes:
    return "\n".join(f"## {topic.question}\n\n{topic.answer}\n" for topic in topics).encode()


def _table(numbers: Sequence[int]) -> bytes:
    """Write a CSV file (RFC 4180)."""
    rows = [("month", "value"), *((f"2024-{month:02}", number) for month, number in enumerate(numbers, 1))]
    return "".join(f"{month},{value}\r\n" for month, value in rows).encode()


def _chart(numbers: Sequence[int], *, height: int = 60, bar: int = 16, gap: int = 8) -> bytes:
    """Draw a bar chart as a PNG file with two grey tones."""
    bars = [max(1, number * height // max(numbers)) for number in numbers]
    lines = []
    for above in range(height, 0, -1):
        tones = (b"\x50" * bar if above <= tall else b"\xff" * bar for tall in bars)
        lines.append(b"\x00" + b"".join(chain.from_iterable((b"\xff" * gap, tone) for tone in tones)))
    width = len(bars) * (bar + gap)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"".join(lines), 9)),
        (b"IEND", b""),
    )
    written = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


# --- scenes: even ones are a user's, odd ones an assistant's -------------------------------------------


def _text(value: str, *annotations: Obj) -> Obj:
    return {"type": "text", "text": {"value": value, "annotations": list(annotations)}}


def _note(kind: str, value: str, marker: str, file_id: str) -> Obj:
    """Annotate the first occurrence of the marker; offsets are code points (recorded)."""
    start = value.index(marker)
    end = start + len(marker)
    return {
        "type": kind,
        "text": marker,
        "start_index": start,
        "end_index": end,
        kind: {"file_id": file_id},
    }


def _question(at: _SceneContext) -> Obj:
    return {"content": [_text(at.question)]}


def _answer(at: _SceneContext) -> Obj:
    return {"content": [_text(at.answer)]}


def _with_picture(at: _SceneContext) -> Obj:
    file_id = at.files.scan
    return {
        "content": [
            _text(at.question),
            {"type": "image_file", "image_file": {"file_id": file_id, "detail": "auto"}},
            _text("This is what I have. Is it right?"),
        ],
        "attachments": [{"file_id": file_id, "tools": [{"type": "code_interpreter"}]}],
    }


def _with_citations(at: _SceneContext) -> Obj:
    first, second = "【4:0†handbook.txt】", "【4:1†faq.txt】"
    value = f"{at.answer}{first}{second}"
    notes = (
        _note("file_citation", value, first, at.files.handbook),
        _note("file_citation", value, second, at.files.faq),
    )
    return {"content": [_text(value, *notes)]}


def _with_link(at: _SceneContext) -> Obj:
    picture = {"url": "https://example.com/scan.png", "detail": "low"}
    return {
        "content": [
            {"type": "image_url", "image_url": picture},
            _text(f"{at.question} Does this page help?"),
        ]
    }


def _with_file(at: _SceneContext) -> Obj:
    name = at.topic.name
    marker = f"sandbox:/mnt/data/{name}.csv"
    value = f"Here is a chart, and the table: [{name}.csv]({marker})"
    return {
        "content": [
            {"type": "image_file", "image_file": {"file_id": at.files.charts[name]}},
            _text(value, _note("file_path", value, marker, at.files.tables[name])),
        ]
    }


def _in_scripts(at: _SceneContext) -> Obj:
    value = f"Grüße! 你好, שלום, 🌮👩‍🚀 𝒙\u2028a new line: {at.answer}\r\n\tand a tab, \u0085 too"
    return {"content": [_text(value)]}


def _in_parts(at: _SceneContext) -> Obj:
    return {"content": [_text("Let me look."), _text(at.answer), _text("Anything else?\n")]}


def _with_metadata(at: _SceneContext) -> Obj:
    metadata = {"source": "web", "ticket": "4711", "ключ": "значение 🗝"}
    return {"content": [_text(f"One more thing. {at.question}")], "metadata": metadata}


def _refusal(_: _SceneContext) -> Obj:
    return {"content": [{"type": "refusal", "refusal": "I'm sorry, I can't help with that."}]}


def _unknown_part(_: _SceneContext) -> Obj:
    part = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav", "seconds": 1.0}}
    return {"content": [part, _text("Did you hear that?")]}


def _nothing(_: _SceneContext) -> Obj:
    return {"content": []}


def _attached_twice(at: _SceneContext) -> Obj:
    file_id = at.files.handbook
    tools = ("file_search", "code_interpreter")
    return {
        "content": [_text("Search it and compute with it, please.")],
        "attachments": [{"file_id": file_id, "tools": [{"type": tool}]} for tool in tools],
    }


def _added_by_hand(at: _SceneContext) -> Obj:
    """Return an assistant message that was added by hand, on a server with additional fields."""
    return {
        "content": [_text(f"(from an older chat) {at.answer}")],
        "assistant_id": None,
        "run_id": None,
        "imported": {"score": 1.0, "serial": 2**53 + 1},
    }


def _thanks(_: _SceneContext) -> Obj:
    return {"content": [_text("Thanks!")]}


def _unresolved_markers(at: _SceneContext) -> Obj:
    return {"content": [_text(f"{at.answer}【13†source】 And again【13†source】.")]}


# The first messages of a thread: one of each kind, so that a short thread holds them all.
_SCENES: tuple[Callable[[_SceneContext], Obj], ...] = (
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
    _added_by_hand,
    _thanks,
    _unresolved_markers,
)

# The scenes of most messages.
_USUAL: tuple[Callable[[_SceneContext], Obj], ...] = (
    *(_question, _answer) * 3,
    *(_question, _with_citations),
    *(_question, _answer) * 2,
    *(_with_picture, _with_file),
    *(_thanks, _answer),
)
