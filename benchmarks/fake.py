"""What the fake costs, each claim beside its reference, measured in one run.

Prints a table: what, measured, reference, ratio, wanted, ok or missed. Rounds of the thing and of its reference
are interleaved, and the best or the median round counts, since machines are noisy. What runs in one process is
measured in CPU time; servers and their start by the clock on the wall.

    python benchmarks/fake.py [--quick] [--million]

`--million` also loads an export of a million messages (about 800 MB in a temporary folder) in a process of its own.
"""

import asyncio
import atexit
import contextlib
import functools
import importlib
import json
import os
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai

from fake_assistants import FakeAssistants, Request, demo_world
from fake_assistants.store.import_file import uncollected
from listening import FAKE, listening
from table import Line, best_of, interleaved, print_table

HEADERS = {"Authorization": "Bearer sk-bench", "OpenAI-Beta": "assistants=v2"}
TEXT = "The train leaves at 09:12 from platform 4 and takes 1 h 25 min; the ticket to Łódź is 24.50. "
CONNECTIONS = 12

# A bare Starlette route under the same uvicorn, with the same options, that answers with the same bytes.
BARE = """
import socket, sys
import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

body = open(sys.argv[1], "rb").read()

async def page(request):
    return Response(body, media_type="application/json")

app = Starlette(routes=[Route("/v1/threads/{thread_id}/messages", page)])
listener = socket.create_server(("127.0.0.1", 0))
print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}/v1", flush=True)
options = {"ws": "none", "lifespan": "off", "access_log": False, "log_config": None, "server_header": False}
uvicorn.Server(uvicorn.Config(app, **options)).run([listener])
"""

# Loads an export and says how long it took, and the most memory that the process ever held.
MILLION = """
import resource, sys, time
from fake_assistants import FakeAssistants

fake = FakeAssistants()
started = time.perf_counter()
fake.load(sys.argv[1])
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


@functools.cache
def environment() -> dict[str, str]:
    """For new processes: compiled modules are kept in a folder of their own, as an installed package keeps them."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": folder}


def of_children() -> float:
    """The CPU seconds of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def named(prefix: str, number: int) -> str:
    """An id as long as the real ones and without a long run of digits, which would look like a big number."""
    return prefix + "-".join(f"{number:012}"[at : at + 2] for at in range(0, 12, 2)) + "abcdefg"


def message(thread_id: str, number: int) -> dict[str, Any]:
    """About 800 bytes over the wire."""
    return {
        "id": named("msg_", number),
        "object": "thread.message",
        "created_at": 1774963200 + number,
        "assistant_id": None,
        "thread_id": thread_id,
        "run_id": named("run_", number // 2),
        "role": "user",
        "content": [{"type": "text", "text": {"value": TEXT * 3, "annotations": []}}],
        "attachments": [],
        "metadata": {},
    }


def world(threads: int, messages: int) -> dict[str, list[dict[str, Any]]]:
    """A state of such messages."""
    names = [named("thread_", number) for number in range(threads)]
    rows = [message(name, index * messages + number) for index, name in enumerate(names) for number in range(messages)]
    return {"threads": [{"id": name, "object": "thread"} for name in names], "messages": rows}


def fake_with(threads: int, messages: int) -> FakeAssistants:
    """A fake that serves it."""
    fake = FakeAssistants()
    fake.load(world(threads, messages))
    return fake


def page_path(thread: int = 0, query: str = "limit=100") -> str:
    """The target of a list request."""
    return f"/v1/threads/{named('thread_', thread)}/messages?{query}"


# --- in process


def in_process(quick: bool) -> Iterator[Line]:
    """The SDK over the fake's transport, beside a transport that only hands out the same bytes."""
    library: Any = importlib.import_module("httpx2" if int(version("openai").split(".")[0]) >= 3 else "httpx")
    fake = fake_with(1, 300)
    reply = fake.handle(Request.of("GET", page_path(), HEADERS))

    def answer(_: Any) -> Any:
        return library.Response(200, headers=list(reply.headers), content=reply.body)

    with contextlib.ExitStack() as stack:
        calls = []
        for transport in (fake.transport(), library.MockTransport(answer)):
            client = stack.enter_context(library.Client(transport=transport))
            api = stack.enter_context(openai.OpenAI(api_key="sk-bench", http_client=client))
            lists = api.beta.threads.messages.with_raw_response
            calls.append(lambda lists=lists: lists.list(named("thread_", 0), limit=100).content)
        assert calls[0]() == calls[1]()
        ours, bare = best_of(7 if quick else 25, 20, *calls)
    yield Line("messages.list of 100, SDK raw response over transport()", ours, bare, 2, "ms")


def small_things(quick: bool) -> Iterator[Line]:
    """A fresh fake, and a reset."""
    fake = fake_with(5, 20)
    path = page_path()

    def worked() -> None:
        fake.handle(Request.of("POST", path, HEADERS, b'{"role": "user", "content": "hello"}'))

    def worked_and_reset() -> None:
        worked()
        fake.reset()

    made, used, both = best_of(5, 100 if quick else 400, FakeAssistants, worked, worked_and_reset)
    yield Line("FakeAssistants()", made, None, 1, "ms")
    yield Line("reset() after one message, 5 threads of 20", both - used, None, 0.2, "ms")


def imports(quick: bool) -> Iterator[Line]:
    """New processes: what the import adds to the start of Python."""

    def run(code: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, "-c", code], check=True, env=environment())

    run("import fake_assistants")()
    with_fake, bare = best_of(9 if quick else 25, 1, run("import fake_assistants"), run(""), clock=of_children)
    yield Line("import fake_assistants, whole process, CPU (bare Python)", with_fake, bare, 150, "ms", absolute=True)


def paging(quick: bool) -> Iterator[Line]:
    """Pages of a long thread cost what pages of a short one do."""
    long, short = fake_with(1, 100_000), fake_with(1, 1000)
    middle = named("msg_", 50_000)

    def ask(fake: FakeAssistants, query: str) -> Callable[[], object]:
        request = Request.of("GET", page_path(query=query), HEADERS)
        assert fake.handle(request).status == 200
        return lambda: fake.handle(request)

    pages = [ask(long, f"limit=100&after={middle}"), ask(long, "limit=100"), ask(short, "limit=100")]
    deep, first, few = best_of(9 if quick else 25, 20, *pages)
    (none,) = best_of(5 if quick else 9, 1, ask(long, "limit=100&run_id=run_none"))
    yield Line("a page deep in 100,000 messages (its first page)", deep, first, 1.5, "ms")
    yield Line("a page deep in 100,000 messages (one of 1,000)", deep, few, 1.5, "ms")
    yield Line("run_id that matches none of 100,000", none, None, 100, "ms")


CONVERSATIONS = "/api/projects/bench/openai/v1/conversations"
ITEMS = json.dumps({"items": [{"type": "message", "role": "user", "content": TEXT}] * 20}).encode()


def conversations(quick: bool) -> Iterator[Line]:
    """Conversations of the new Foundry, as a push makes and lists them: the last of 10,000 cost what the first do."""
    fake = FakeAssistants(profile="foundry")
    headers = HEADERS | {"x-ms-user-identity": "bench"}

    def ask(method: str, target: str, body: bytes = b"") -> Any:
        return json.loads(fake.handle(Request.of(method, target, headers, body)).body)

    def make() -> None:
        ask("POST", f"{CONVERSATIONS}/{ask('POST', CONVERSATIONS, b'{}')['id']}/items", ITEMS)

    made = [best_of(1, 100, make)[0] for _ in range(100)]
    yield Line(
        "a conversation with 20 items after 9,000 others (after none)", min(made[-10:]), min(made[:10]), 1.5, "ms"
    )
    cursor = ask("GET", f"{CONVERSATIONS}?limit=100&order=desc")["last_id"]
    targets = (f"{CONVERSATIONS}?limit=100&after={cursor}", f"{CONVERSATIONS}?limit=100")
    last, first = best_of(9 if quick else 25, 20, *(functools.partial(ask, "GET", target) for target in targets))
    yield Line("a page at the end of 10,000 conversations (its first page)", last, first, 1.5, "ms")


def demo(quick: bool) -> Iterator[Line]:
    """The world of the demo, made and loaded, beside a copy of it by the standard library."""
    threads = 200 if quick else 1000
    times = [time.process_time()]
    state = demo_world(threads, 300)
    times.append(time.process_time())
    FakeAssistants().load(state)
    times.append(time.process_time())
    with uncollected():
        json.loads(json.dumps(state))
    times.append(time.process_time())
    made, loaded, copied = (after - before for before, after in pairwise(times))
    yield Line(f"demo_world({threads}, 300) (json.loads(json.dumps(it)))", made, copied, 1, "s")
    yield Line(f"load(demo_world({threads}, 300)) (the same)", loaded, copied, 1.5, "s")


# --- over HTTP


@contextlib.contextmanager
def server(code: str, *arguments: str) -> Iterator[int]:
    """A server in a process of its own; gives the port."""
    with listening(code, *arguments, env=environment()) as address:
        yield urlsplit(address).port or 0


class Asking(asyncio.Protocol):
    """One connection that asks again as soon as it is answered; so light that the server is the bottleneck."""

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.answers = 0
        self.missing = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        if not self.missing:
            head, _, _ = data.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = int(re.findall(rb"(?i)content-length: *(\d+)", head)[0])
            self.missing = len(head) + 4 + length
        self.missing -= len(data)
        if not self.missing:
            self.answers += 1
            self.transport.write(self.request)


async def load_on(port: int, seconds: float) -> float:
    """Answers a second."""
    lines = [f"GET {page_path()} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Accept: application/json"]
    lines += [f"{name}: {value}" for name, value in HEADERS.items()]
    request = "\r\n".join([*lines, "", ""]).encode()
    loop = asyncio.get_running_loop()
    pairs = [await loop.create_connection(lambda: Asking(request), "127.0.0.1", port) for _ in range(CONNECTIONS)]
    await asyncio.sleep(0.2)
    before, started = sum(asking.answers for _, asking in pairs), time.perf_counter()
    await asyncio.sleep(seconds)
    rate = (sum(asking.answers for _, asking in pairs) - before) / (time.perf_counter() - started)
    for transport, _ in pairs:
        transport.abort()
    return rate


def over_http(quick: bool) -> Iterator[Line]:
    """List pages a second of `fake-assistants serve`, beside a bare Starlette route."""
    rounds, seconds = (3, 1.0) if quick else (7, 2.0)
    with tempfile.TemporaryDirectory() as folder:
        state, body = Path(folder) / "state.json", Path(folder) / "page.json"
        state.write_text(json.dumps(world(1, 300)))
        body.write_bytes(fake_with(1, 300).handle(Request.of("GET", page_path(), HEADERS)).body)
        with server(*FAKE, "--load", str(state)) as fake, server(BARE, str(body)) as bare:
            calls = [lambda port=port: asyncio.run(load_on(port, seconds)) for port in (fake, bare)]
            rates = interleaved(rounds, *calls)
    ours, theirs = map(statistics.median, rates)
    yield Line("pages of 100 a second over HTTP (bare Starlette route)", ours, theirs, 0.5, "/s", at_least=True)


def starting(quick: bool) -> Iterator[Line]:
    """From the start of the process to the first connection."""

    def until_connected(*command: str) -> Callable[[], float]:
        def seconds() -> float:
            started = time.perf_counter()
            with server(*command) as port, socket.create_connection(("127.0.0.1", port)):
                return time.perf_counter() - started

        return seconds

    taken = interleaved(3 if quick else 7, until_connected(*FAKE), until_connected(BARE, os.devnull))
    ours, theirs = map(min, taken)
    yield Line("serve accepts a connection after (bare Starlette)", ours, theirs, 0.7, "s", absolute=True)


# --- a million messages


def million(_: bool) -> Iterator[Line]:
    """A full export of 4,000 threads of 250, written lazily, loaded in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.ndjson"
        write_export(path, 4000, 250)
        size = path.stat().st_size / 2**20
        run = subprocess.run([sys.executable, "-c", MILLION, str(path)], check=True, stdout=subprocess.PIPE, text=True)
    seconds, peak = map(float, run.stdout.split())
    yield Line(f"load an export of 1,000,000 messages, {size:.0f} MiB", seconds, None, 60, "s")
    yield Line("its peak memory, whole process", peak, None, 3, "GiB")


def write_export(path: Path, threads: int, messages: int) -> None:
    """Lines as `threadkeep export` writes them."""
    with path.open("wb") as file:
        for thread in range(threads):
            for number in range(messages):
                made = message(named("thread_", thread), thread * messages + number)
                text = made["content"][0]["text"]
                text["value"] = (TEXT * 2)[:150]
                head = {"thread_id": made["thread_id"], "assistant_id": "asst_1", "message_id": made["id"]}
                row = head | {"role": "user", "text": text["value"], "created_at": made["created_at"], "message": made}
                file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")


PARTS = (in_process, small_things, imports, paging, conversations, demo, over_http, starting)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    print_table(__doc__, PARTS, asked_for=(million,))
