"""A push by the decisions of `threadkeep.migration.engramia` stores each line once, whatever is lost on the way."""

import http.client
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hypothesis import given
from hypothesis import strategies as st

from converting import converted, text_message
from engramia_server import KEY, Engramia, Fault, by_chance, planned
from fake_assistants import Request
from fake_assistants.http.message import Cut
from threadkeep.migration.engramia import (
    EXPORT,
    LEARN,
    ExportReader,
    Outcome,
    Sent,
    Stored,
    api_url,
    compare,
    learn_body,
    outcome,
)

HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
Lines = Sequence[Mapping[str, Any]]
Answer = tuple[int, bytes] | None
Ask = Callable[[str, str, bytes | None], Answer]
"""Sends a request: method, route and body. It has no answer if that did not arrive completely."""


def push(lines: Lines, ask: Ask) -> None:
    """Send each line until the server has it. A line is repeated only if it is certain not to be there."""
    before = {pattern.key for pattern in export(ask)}
    sent, waiting = dict[int, bool](), [*range(len(lines))]
    while waiting:
        sent |= {place: learn(ask, lines[place]) for place in waiting}
        waiting = []
        if not all(sent.values()):
            stored = [pattern for pattern in export(ask) if pattern.key not in before]
            found = compare([Sent(place, lines[place], known) for place, known in sent.items()], stored)
            assert (found.undecided, found.gone, found.doubled, found.foreign) == ((), (), (), ())
            sent |= {place: True for place in sent if place in found.arrived}
            waiting = [place for place in sent if place in found.missing]


def learn(ask: Ask, line: Mapping[str, Any]) -> bool:
    """Send a line, again if it must wait. Return whether it is known to be stored."""
    meaning = Outcome.LATER
    while meaning is Outcome.LATER:
        answer = ask("POST", LEARN, learn_body(line))
        meaning = Outcome.UNKNOWN if answer is None else outcome(*answer)
    assert meaning in (Outcome.STORED, Outcome.UNKNOWN)
    return meaning is Outcome.STORED


def export(ask: Ask) -> list[Stored]:
    """Read all patterns, again until they arrive: reading may be repeated."""
    status, content = 0, b""
    while status != 200:
        status, content = ask("GET", EXPORT, None) or (0, b"")
    reader = ExportReader()
    found = [*reader.feed(content)]
    reader.close()
    return found


def in_process(server: Engramia) -> Ask:
    """Ask a server without HTTP."""

    def ask(method: str, route: str, body: bytes | None) -> Answer:
        reply = server.handle(Request(method, f"/v1/{route}", headers=HEADERS, body=body or b""))
        chunks = [*(reply.chunks or [reply.body])]
        if reply.hang_up or any(isinstance(chunk, Cut) for chunk in chunks):
            return None
        return reply.status, b"".join(chunk for chunk in chunks if isinstance(chunk, bytes))

    return ask


def over_http(url: str) -> Ask:
    """Ask a server at this address, as a user gives it."""
    root = urlsplit(api_url(url))

    def ask(method: str, route: str, body: bytes | None) -> Answer:
        connection = http.client.HTTPConnection(root.netloc, timeout=30)
        try:
            connection.request(method, f"{root.path}/{route}", body, HEADERS)
            response = connection.getresponse()
            return response.status, response.read()
        except (http.client.HTTPException, ConnectionError):
            return None
        finally:
            connection.close()

    return ask


TEXTS = st.tuples(st.sampled_from(["hello", "why?", "what?"]), st.sampled_from(["hi", "ho"]))
FAULTS = st.dictionaries(
    st.tuples(st.sampled_from([f"/v1/{LEARN}", f"/v1/{EXPORT}"]), st.integers(1, 12)), st.sampled_from(Fault)
)


@given(pairs=st.lists(TEXTS, max_size=8), before=st.lists(TEXTS, max_size=3), plan=FAULTS, keeps_runs=st.booleans())
def test_each_line_is_stored_once(
    pairs: list[tuple[str, str]],
    before: list[tuple[str, str]],
    plan: dict[tuple[str, int], Fault],
    keeps_runs: bool,
) -> None:
    """As often as it occurs, in addition to the patterns that were there; with one more export a round."""
    server = Engramia(per_minute=None, per_key=None, keeps_runs=keeps_runs)
    push([line(*pair) for pair in before], in_process(server))
    server.faults = planned(plan)
    server.requests.clear()
    push([line(*pair, f"thread_{place}") for place, pair in enumerate(pairs)], in_process(server))
    assert Counter(server.stored()) == Counter(pairs) + Counter(before)
    repeats = Counter(path for path, nth in plan if nth <= server.requests[path])
    assert server.requests[f"/v1/{LEARN}"] <= len(pairs) + repeats[f"/v1/{LEARN}"]
    assert server.requests[f"/v1/{EXPORT}"] <= 1 + repeats.total()


def line(task: str, code: str, thread_id: str = "thread_z") -> dict[str, Any]:
    """A line of ``convert --to engramia``."""
    run_id = f"openai-thread:{thread_id}"
    return {"task": task, "code": code, "eval_score": 5.0, "source": "import", "run_id": run_id}


def test_a_converted_export_arrives_over_http(tmp_path: Path) -> None:
    """300 pairs, with a fault in one of five requests."""
    messages = [
        message
        for number in range(0, 600, 2)
        for message in (text_message(number, text=f"question {number % 7}"), text_message(number + 1, "assistant"))
    ]
    _, lines, _ = converted(tmp_path, "engramia", messages)
    server = Engramia(per_minute=None, per_key=None, retry_after=0, faults=by_chance(0.2))
    with server.serving() as url:
        push(lines, over_http(url))
    assert len(lines) == 300
    assert sorted(server.stored()) == sorted((line["task"], line["code"]) for line in lines)
