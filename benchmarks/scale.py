"""What an export in shards reaches, each claim beside its reference and what is wanted, measured in one run.

Prints a table: what, measured, reference, ratio, wanted, ok or missed. Whole commands are started anew each time:
imports, the start of the workers, the export, their end. The server is `fake-assistants serve` in a process of its own,
with a bucket for each key that is refilled evenly and answers 429 when it is empty; `--rpm` is what the bucket grants.
The rates are so low that the processor delays nothing, where it is not the processor that is measured.

    python benchmarks/scale.py [--quick] [--only PART] [--curve]

`--curve` also exports the same list with 1, 2, 3 and 4 workers, a key each.
"""

import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from export import ASSISTANT, CLI, bench
from table import Line, print_table

__all__ = ["Ended", "Scaled", "scaled"]


@attrs.frozen(kw_only=True)
class Ended:
    """What a run of the command took.

    Attributes:
        seconds: by the clock on the wall, from the start of the process to its end.
        cpu: seconds of CPU, of the workers too.
        printed: the object that ``--json`` prints.
        log: what the server has logged: the status of each request.
    """

    seconds: float
    cpu: float
    printed: dict[str, Any]
    log: tuple[int, ...]


@attrs.frozen
class Scaled:
    """Runs the command against one server, in one folder, each time from nothing."""

    folder: Path
    base_url: str
    ids: Path

    def plain(self, *options: str, keys: int = 1) -> Ended:
        """Export in one process."""
        return self._run(keys, "out.ndjson", *options)

    def sharded(self, workers: int, *options: str) -> Ended:
        """Export in shards, with so many workers and a key each."""
        return self._run(workers, "out", "--dask", f"local:{workers}", *options)

    def _run(self, keys: int, out: str, *options: str) -> Ended:
        shutil.rmtree(self.folder / "run", ignore_errors=True)
        (self.folder / "run").mkdir()
        keys_file = self.folder / "run" / "keys"
        keys_file.write_text("\n".join(f"sk-bench-{number}" for number in range(keys)))
        keys_file.chmod(0o600)
        self._ask("POST", "reset")
        words = ["export", str(self.ids), ASSISTANT, str(self.folder / "run" / out), "--keys-file", str(keys_file)]
        more = {"OPENAI_BASE_URL": self.base_url, "THREADKEEP_WORK": str(self.folder / "run" / "work")}
        cpu, started = _of_children(), time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", CLI, *words, "--json", *options],
            check=True,
            timeout=3600,
            env={**os.environ, **more},
            stdout=subprocess.PIPE,
        )
        seconds, cpu = time.perf_counter() - started, _of_children() - cpu
        log = tuple(row["status"] for row in self._ask("GET", "requests"))
        return Ended(seconds=seconds, cpu=cpu, printed=json.loads(done.stdout), log=log)

    def _ask(self, method: str, what: str) -> Any:
        url = self.base_url.removesuffix("/v1") + "/_fake/" + what
        with urllib.request.urlopen(urllib.request.Request(url, method=method)) as answer:
            return json.loads(answer.read() or b"null")


def _of_children() -> float:
    """The CPU seconds of the processes that were started here and have ended, with those that they started."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextlib.contextmanager
def scaled(threads: int, messages: int, *options: str) -> Iterator[Scaled]:
    """A fake with a world of the demo, and a folder with the file of its thread ids."""
    with bench(threads, messages, "--latency-ms", "50", *options) as there:
        yield Scaled(there.folder, there.base_url, there.ids)


def paced(rpm: int) -> tuple[str, ...]:
    """The option of a limit."""
    return ("--rpm", str(rpm))


# --- the parts


def two_keys(quick: bool) -> Iterator[Line]:
    """Two workers with a key each, beside one with one."""
    rpm, minutes = 1200, 1 if quick else 2
    with scaled(rpm * minutes, 20, *paced(rpm)) as there:
        one, two = there.sharded(1, *paced(rpm)), there.sharded(2, *paced(rpm))
    name = f"{rpm * minutes:,} requests, {rpm:,} a minute and key: 1 worker (2)"
    yield Line(name, one.seconds, two.seconds, 1.9, at_least=True)
    yield Line("the same: answered 429", two.log.count(429) / len(two.log) * 100, None, 1, "%")


def engine(quick: bool) -> Iterator[Line]:
    """One worker beside the export without shards, of 800 threads: 4 shards of 200."""
    for rpm, messages, limit in ((1000, 250, 1.05), (3000, 450, 1.05)):
        with scaled(800, messages // (2 if quick else 1), *paced(rpm)) as there:
            ours, plain = there.sharded(1, *paced(rpm)), there.plain(*paced(rpm))
        name = f"{len(plain.log):,} requests, {rpm:,} a minute: --dask local:1 (without)"
        yield Line(name, ours.seconds, plain.seconds, limit)
        yield Line("the same: longer by", ours.seconds - plain.seconds, None, 5)
        assert len(ours.log) == len(plain.log), (len(ours.log), len(plain.log))


def processor(quick: bool) -> Iterator[Line]:
    """The same without a limit: what is left is the CPU. And how many pages a minute one process fetches then."""
    with scaled(800, 100 if quick else 300) as there:
        ours, plain = there.sharded(1), there.plain()
    pages = len(plain.log)
    yield Line(f"{pages:,} pages of 100, no limit, CPU: --dask local:1 (without)", ours.cpu, plain.cpu, 2)
    yield Line("the same, by the clock on the wall", ours.seconds, plain.seconds, 2)
    yield Line("pages a minute of one process", pages / plain.seconds * 60, None, 3000, "/min", at_least=True)


def curve(quick: bool) -> Iterator[Line]:
    """1, 2, 3 and 4 workers with a key each, beside one."""
    rpm, minutes = 300, 1 if quick else 6
    with scaled(rpm * minutes, 20, *paced(rpm)) as there:
        ended: Sequence[Ended] = [there.sharded(workers, *paced(rpm)) for workers in (1, 2, 3, 4)]
    for workers, one in enumerate(ended, 1):
        name = f"{rpm * minutes:,} requests, {rpm} a minute and key: 1 worker ({workers})"
        yield Line(name, ended[0].seconds, one.seconds, 0.9 * workers, at_least=True)


PARTS = (two_keys, engine, processor)


if __name__ == "__main__":
    print_table(__doc__, PARTS, asked_for=(curve,))
