"""What the export reaches, each claim beside its reference and what is wanted, measured in one run.

Prints a table: what, measured, reference, ratio, wanted, ok or missed. Whole processes are started anew each time:
imports, connection, export, end; the server is `fake-assistants serve` in a process of its own; rounds of the thing and
of its reference are interleaved, and the medians are compared. The baseline of speed is tests/sequential.py, the script
that people commonly use, which takes one thread after another through the SDK's models.

    python benchmarks/export.py [--quick] [--only PART]
"""

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

import attrs

from fake_assistants import demo_world
from listening import FAKE, listening
from table import Line, best_of, interleaved, print_table
from threadkeep.api.client import PacingOptions
from threadkeep.api.endpoints import ApiSource
from threadkeep.api.keys import Key
from threadkeep.api.transport import connect_all
from threadkeep.clock import now
from threadkeep.exporter.job import Job, carry_out
from threadkeep.serialization.thread_ids import ListedId
from threadkeep.storage.paths import Paths
from threadkeep.storage.session import ThreadList

SEQUENTIAL = Path(__file__).parent.parent / "tests" / "sequential.py"
ASSISTANT = "asst_benchmark"
HEADERS = {"OpenAI-Beta": "assistants=v2"}
CLI = "from threadkeep.cli.main import main; main()"

# A process that runs the command, and then says what it took: seconds of CPU, and the most memory in MiB. The kernel's
# own file is asked for the memory, since what getrusage knows of a new process begins with the size of its parent.
MEASURED = """
import atexit, json, os, time
def tell():
    with open("/proc/self/status") as status:
        (peak,) = (int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    with open(os.environ["BENCH_TOLD"], "w") as file:
        json.dump([time.process_time(), peak / 1024], file)
atexit.register(tell)
"""

# The same, and the seconds spent in os.fsync as well.
SYNCED = """
import atexit, json, os, time
real, spent = os.fsync, [0.0]
def fsync(file):
    started = time.perf_counter()
    real(file)
    spent[0] += time.perf_counter() - started
os.fsync = fsync
def tell():
    with open(os.environ["BENCH_TOLD"], "w") as file:
        json.dump([spent[0], 0], file)
atexit.register(tell)
"""

SCRIPT = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"


# --- worlds and processes


def thread_ids(threads: int, messages: int) -> list[str]:
    """The ids of that world."""
    return [thread["id"] for thread in demo_world(threads, messages)["threads"]]


@attrs.frozen
class Bench:
    """Runs whole processes against one server, in one folder."""

    folder: Path
    base_url: str
    ids: Path

    def script(self) -> tuple[float, float, float]:
        """The sequential script."""
        return self._run(MEASURED + SCRIPT, str(SEQUENTIAL), str(self.ids), ASSISTANT, str(self._out))

    def export(self, *options: str, measured: str = MEASURED) -> tuple[float, float, float]:
        """The export at the command's defaults, flat lines as the script writes them."""
        words = ["export", str(self.ids), ASSISTANT, str(self._out), "--flat", "--quiet", *options]
        return self._run(measured + CLI, *words)

    @property
    def _out(self) -> Path:
        return self.folder / "out.ndjson"

    def _run(self, code: str, *arguments: str) -> tuple[float, float, float]:
        """Seconds by the clock on the wall, and the two numbers that the process tells; its export is not empty."""
        _clear(self.folder)
        told = self.folder / "told.json"
        more = {"OPENAI_BASE_URL": self.base_url, "OPENAI_API_KEY": "sk-bench", "BENCH_TOLD": str(told)}
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code, *arguments], check=True, timeout=900, env={**os.environ, **more})
        taken = time.perf_counter() - started
        assert self._out.stat().st_size
        first, second = json.loads(told.read_text())
        return taken, first, second


def _clear(folder: Path) -> None:
    for path in folder.glob("out*"):
        path.unlink()


@contextlib.contextmanager
def bench(threads: int, messages: int, *options: str) -> Iterator[Bench]:
    """A fake with a demo world, and a folder with the file of its thread ids."""
    world = ("--demo", f"{threads}x{messages}")
    with tempfile.TemporaryDirectory() as folder, listening(*FAKE, *world, *options) as base_url:
        ids = Path(folder) / "ids.txt"
        ids.write_text("\n".join(thread_ids(threads, messages)))
        yield Bench(Path(folder), base_url, ids)


def medians(rounds: int, *things: Callable[[], tuple[float, float, float]]) -> list[tuple[float, ...]]:
    """The medians of the three numbers that each gives, the rounds interleaved."""
    told = interleaved(rounds, *things)
    return [tuple(statistics.median(column) for column in zip(*numbers, strict=True)) for numbers in told]


# --- the parts


def speed(quick: bool) -> Iterator[Line]:
    """Whole processes at 50 ms latency; without the start, which a run of one thread has, too."""
    with bench(1, 1, "--latency-ms", "50") as there:
        first_script, first_export = medians(3, there.script, there.export)
    with bench(200, 250, "--latency-ms", "50") as there:
        script, export = medians(1 if quick else 3, there.script, there.export)
        yield Line("600 pages, 50 ms: sequential (export)", script[0], export[0], 10, at_least=True)
        script_alone, export_alone = script[0] - first_script[0], export[0] - first_export[0]
        yield Line("the same without the start of both", script_alone, export_alone, 20, at_least=True)
    with bench(600, 250, "--latency-ms", "50") as there:
        script, export = medians(1, there.script, there.export)
        yield Line("1,800 pages, 50 ms: sequential (export)", script[0], export[0], 16, at_least=True)


def processor(quick: bool) -> Iterator[Line]:
    """Whole processes without latency, their CPU."""
    with bench(200, 250) as there:
        script, export = medians(1 if quick else 3, there.script, there.export)
    yield Line("200 threads of 250, 0 ms, CPU: sequential (export)", script[1], export[1], 2.5, at_least=True)


def bare_loop(quick: bool) -> Iterator[Line]:
    """CPU of a page, in this process: the export beside the SDK's raw response, orjson and write, 64 at a time."""
    with bench(200, 250) as there:
        ids = there.ids.read_text().split()
        for library, limit in ((_usual(), 1.35), ("aiohttp", 1.6)):
            calls = [
                lambda run=run, library=library: asyncio.run(run(there.base_url, ids, there.folder, library))
                for run in (_exported, _bare)
            ]
            ours, bare = (one / (len(ids) * 3) for one in best_of(3 if quick else 9, 1, *calls))
            yield Line(f"CPU of a page over {library} (bare loop: SDK raw, orjson, write)", ours, bare, limit, "ms")


def _usual() -> str:
    """The name of the HTTP library that the installed SDK speaks without an extra."""
    return "httpx2" if int(version("openai").split(".")[0]) >= 3 else "httpx"


async def _exported(
    base_url: str, ids: list[str], folder: Path, library: str | None = None, rpm: int | None = None
) -> None:
    """An export in this process, files written and all, over this HTTP library, else over the best."""
    _clear(folder)
    wanted, pace = ThreadList(ids=map(ListedId, count(1), ids)), PacingOptions(rpm=rpm)
    job = Job(wanted=wanted, paths=Paths(folder / "out.ndjson"), assistant_id=ASSISTANT, pace=pace)
    (transport,) = connect_all(ApiSource(base_url=base_url, keys=(Key("sk-bench"),)))
    many = {None: 200, "aiohttp": 0}.get(library, len(ids) + 1)
    with mock.patch("threadkeep.exporter.job._MANY_THREADS", many):
        async with transport:
            result = await carry_out(job, [transport], base_url, now=now)
        assert library in (None, transport.library), transport.library
    assert result.outcomes["complete"] == len(ids), result


async def _bare(base_url: str, ids: list[str], folder: Path, library: str) -> None:
    import openai
    import orjson

    usual: Any = __import__(_usual())
    waiting = iter(ids)
    http = openai.DefaultAioHttpClient() if library == "aiohttp" else openai.DefaultAsyncHttpxClient()
    async with openai.AsyncOpenAI(base_url=base_url, api_key="sk-bench", http_client=http) as client:
        with (folder / "bare.ndjson").open("wb") as file:

            async def work() -> None:
                for thread_id in waiting:
                    after: dict[str, str] = {}
                    while True:
                        options: Any = {"params": {"limit": 100, "order": "asc", **after}, "headers": HEADERS}
                        path = f"/threads/{thread_id}/messages"
                        response = await client.get(path, cast_to=usual.Response, options=options)
                        page = orjson.loads(response.content)
                        file.writelines(orjson.dumps(row) + b"\n" for row in page["data"])
                        if not page["has_more"]:
                            break
                        after = {"after": page["last_id"]}

            async with asyncio.TaskGroup() as group:
                for _ in range(64):
                    group.create_task(work())


def quotas(quick: bool) -> Iterator[Line]:
    """How much of a quota is used, and how many requests are answered 429, with --rpm at the limit and without.

    What the server's bucket holds at first is not counted as used: only what is renewed is.
    """
    sizes = {600: 300, 6000: 1500, 25000: 4000} if quick else {600: 1500, 6000: 6000, 25000: 12000}
    for rpm, requests in sizes.items():
        for given in (rpm, None):
            with bench(requests, 1, "--rpm", str(rpm), "--latency-ms", "20") as there:
                started = time.perf_counter()
                asyncio.run(_exported(there.base_url, there.ids.read_text().split(), there.folder, rpm=given))
                seconds = time.perf_counter() - started
                with urllib.request.urlopen(there.base_url.removesuffix("/v1") + "/_fake/requests") as answer:
                    asked = [row["status"] for row in json.loads(answer.read())]
            burst = 0 if given else min(rpm, max(60, rpm / 60))
            used = (asked.count(200) - burst) / (rpm / 60 * seconds) * 100
            refused = asked.count(429) / len(asked) * 100
            name = f"quota of {rpm:,}, {requests:,} requests, {'--rpm' if given else 'self-found'}"
            yield Line(f"{name}: used", used, None, 97 if given else 90, "%", at_least=True)
            yield Line(f"{name}: answered 429", refused, None, 1 if given else 3, "%")


def memory(quick: bool) -> Iterator[Line]:
    """The most memory of whole processes."""
    del quick
    peaks = []
    for threads, messages in ((2000, 100), (200, 100), (1, 100_000)):
        with bench(threads, messages) as there:
            peaks.append(there.export()[2])
    many, few, long = peaks
    yield Line("memory, 2,000 threads of 100 (200 threads)", many, few, 1.3, "MiB")
    yield Line("memory, 1 thread of 100,000", long, None, 120, "MiB")


def syncs(quick: bool) -> Iterator[Line]:
    """What the syncs of the store and the files take of the time by the clock on the wall."""
    with bench(200, 250, "--latency-ms", "50") as there:
        (export,) = medians(1 if quick else 3, lambda: there.export(measured=SYNCED))
    yield Line("200 threads of 250, 50 ms: in os.fsync (the whole export)", export[1], export[0], 0.05)


PARTS = (speed, processor, bare_loop, quotas, memory, syncs)


if __name__ == "__main__":
    print_table(__doc__, PARTS)
