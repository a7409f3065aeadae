"""How much faster `threadkeep export` is than the sequential script, on the same server, in one run.

Both are whole processes, started anew each time: imports, connection, export, end. The world is WORLD threads; the
server is `fake-assistants serve` in a process of its own. Each is run `--rounds` times in turn, and the medians are
compared. Prints one ratio for each latency; the baseline is tests/sequential.py, the script that people commonly
use, which takes one thread after another through the SDK's models.

    python benchmarks/export.py [--rounds 3] [--threads 200] [--messages 300]
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

SEQUENTIAL = Path(__file__).parent.parent / "tests" / "sequential.py"
ASSISTANT = "asst_benchmark"


@contextlib.contextmanager
def server(threads: int, messages: int, latency_ms: int) -> Iterator[str]:
    """A fake with a demo world in a process of its own; gives its base URL."""
    code = "from fake_assistants.cli import main; main()"
    options = ["--port", "0", "--demo", f"{threads}x{messages}", "--latency-ms", str(latency_ms)]
    with subprocess.Popen(
        [sys.executable, "-c", code, "serve", *options], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
        process.terminate()


def thread_ids(threads: int, messages: int) -> list[str]:
    """The ids of that world."""
    from fake_assistants import demo_world

    return [thread["id"] for thread in demo_world(threads, messages)["threads"]]


def seconds(command: list[str], out: Path, base_url: str) -> float:
    """How long one whole process takes; its export must not be empty."""
    for path in out.parent.glob("out*"):
        path.unlink()
    started = time.perf_counter()
    environment = {**os.environ, "OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": "sk-bench"}
    subprocess.run(command, check=True, timeout=300, env=environment)
    taken = time.perf_counter() - started
    assert out.stat().st_size
    return taken


def compare(base_url: str, ids: Path, out: Path, rounds: int, concurrency: list[str]) -> tuple[float, float]:
    """The median seconds of the script and of the export."""
    script = [sys.executable, str(SEQUENTIAL), str(ids), ASSISTANT, str(out)]
    entry = "from threadkeep.cli import main; main()"
    export = [sys.executable, "-c", entry, "export", str(ids), ASSISTANT, str(out), "--flat", "--quiet", *concurrency]
    taken: dict[str, list[float]] = {"script": [], "export": []}
    for _ in range(rounds):
        taken["script"].append(seconds(script, out, base_url))
        taken["export"].append(seconds(export, out, base_url))
    return statistics.median(taken["script"]), statistics.median(taken["export"])


def main() -> None:
    """Print a line for each latency."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=200)
    parser.add_argument("--messages", type=int, default=300)
    parser.add_argument("--latencies", type=int, nargs="+", default=[50, 0], help="milliseconds")
    parser.add_argument("--concurrency", help="passed to threadkeep export; its default otherwise")
    options = parser.parse_args()
    concurrency = ["--concurrency", options.concurrency] if options.concurrency else []
    print(f"openai {version('openai')}, {options.threads} threads of {options.messages} messages")
    with tempfile.TemporaryDirectory() as folder:
        ids, out = Path(folder) / "ids.txt", Path(folder) / "out.ndjson"
        ids.write_text("\n".join(thread_ids(options.threads, options.messages)))
        for latency in options.latencies:
            with server(options.threads, options.messages, latency) as base_url:
                script, export = compare(base_url, ids, out, options.rounds, concurrency)
            ratio = script / export
            print(f"latency {latency:2} ms: {ratio:5.1f}x  (sequential script {script:.2f} s, export {export:.2f} s)")


if __name__ == "__main__":
    main()
