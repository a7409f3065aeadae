"""Exports in shards, for tests: the commands, the objects that they leave, and the processes of their workers."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import boto3  # type: ignore[import-untyped]

from command import Done
from exports import ASSISTANT, beside
from fake_assistants import Clock, Reply, Request
from processes import ended, run_alone, started
from watched import Watched

__all__ = ["BUCKET", "KEYS", "Limited", "Run", "asked_twice", "bytes_of", "cluster_of", "load", "workers_of"]

KEYS = ("sk-first-secret", "sk-second-secret")
"""The keys of the commands."""

BUCKET = "exports"
"""Where prefixes on S3 are."""


class Limited(Watched):
    """A fake that limits each key, refuses some, and knows nothing of some threads.

    Attributes:
        refused: these keys.
        hidden: the ids of these threads.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(rpm=6000, clock=Clock(time.time), **options)
        self.refused = set[str]()
        self.hidden = set[str]()

    def handle(self, request: Request) -> Reply:
        """Refuse, or answer."""
        reply = super().handle(request)
        if request.headers["authorization"].removeprefix("Bearer ") in self.refused:
            return Reply(401, body=b'{"error": {"message": "No."}}')
        if self.hidden.intersection(request.path.split("/")):
            return Reply(404, body=b'{"error": {"message": "No thread found."}}')
        return reply


@attrs.frozen
class Run:
    """The commands of a test.

    Attributes:
        folder: of its files.
        prefix: where the shards go.
        environment: of the commands.
        ids: the file of ids.
    """

    folder: Path
    prefix: str
    environment: dict[str, str]
    ids: Path

    def write_list(self, *names: str) -> None:
        """Write the list."""
        self.ids.write_text("\n".join(names), encoding="utf-8")

    def words(self, *more: object, workers: int = 2, keys: tuple[str, ...] = KEYS) -> list[object]:
        """The arguments of the export."""
        path = self.folder / f"keys-{'-'.join(keys)}"
        path.write_text("\n".join(keys), encoding="utf-8")
        path.chmod(0o600)
        where = ("export", self.ids, ASSISTANT, self.prefix, "--keys-file", path, "--dask", f"local:{workers}")
        return [*where, *more]

    def export(self, *more: object, **how: Any) -> Done:
        """Export in shards, to the end."""
        return run_alone(*self.words(*more, **how), env=self.environment)

    def merged(self, name: str = "merged.ndjson") -> Path:
        """Merge the shards, and return the export."""
        out = self.folder / name
        done = run_alone("merge", self.prefix, "-o", out, env=self.environment)
        assert done.code in (0, 1), done
        return out

    def started(self, *more: object, **how: Any) -> Any:
        """Begin to export in shards."""
        return started(*self.words(*more, **how), env=self.environment)

    ended = staticmethod(ended)

    def objects(self) -> dict[str, bytes]:
        """The objects of the prefix."""
        if "://" not in self.prefix:
            paths = [path for path in Path(self.prefix).rglob("*") if path.is_file()]
            return {str(path.relative_to(self.prefix)): path.read_bytes() for path in paths}
        client = boto3.client("s3", endpoint_url=self.environment["AWS_ENDPOINT_URL"])
        found = client.list_objects_v2(Bucket=BUCKET, Prefix=self.prefix.rpartition("/")[2] + "/")
        names = [row["Key"] for row in found.get("Contents", ())]
        return {name.partition("/")[2]: client.get_object(Bucket=BUCKET, Key=name)["Body"].read() for name in names}


def load(fake: Watched, run: Run, threads: int, messages: int) -> list[str]:
    """Load threads of so many messages each, and list them."""
    names = [f"thread_{number:03}" for number in range(threads)]
    rows = [
        {
            "id": f"msg_{name}_{number:03}",
            "thread_id": name,
            "role": "user",
            "content": [{"type": "text", "text": {"value": f"{name}, {number}", "annotations": []}}],
        }
        for name in names
        for number in range(messages)
    ]
    fake.load({"threads": [{"id": name} for name in names], "messages": rows})
    run.write_list(*names)
    return names


def bytes_of(out: Path) -> tuple[bytes, bytes]:
    """OUT and its index."""
    return out.read_bytes(), beside(out, ".index").read_bytes()


def asked_twice(fake: Watched) -> int:
    """How many pages were asked for again."""
    pages = Counter((request.path, request.asked("after")) for request in fake.asked)
    return sum(count - 1 for count in pages.values())


def workers_of(pid: int) -> list[int]:
    """The worker processes of a command."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread or a child has ended
            for child in (task / "children").read_text().split():
                words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
                if any(b"spawn_main" in word for word in words):
                    found.append(int(child))
    return found


_CLUSTER = """
import json, sys
from distributed import Nanny, Scheduler, SpecCluster

if __name__ == "__main__":
    scheduler, *workers = json.loads(sys.argv[1])
    at = {"host": "127.0.0.1"}
    with SpecCluster(
        scheduler={"cls": Scheduler, "options": {**at, "dashboard_address": "127.0.0.1:0", **scheduler}},
        workers={n: {"cls": Nanny, "options": {**at, "nthreads": 1, **given}} for n, given in enumerate(workers)},
    ) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@contextmanager
def cluster_of(
    folder: Path, *workers: Mapping[str, Any], scheduler: Mapping[str, Any] | None = None, **environment: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A cluster in a process of its own with these workers, and the address of its scheduler.

    What it prints as errors is in the file ``cluster.log``.
    """
    script = folder / "cluster.py"
    script.write_text(_CLUSTER, encoding="utf-8")
    command = [sys.executable, str(script), json.dumps([scheduler or {}, *workers])]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (folder / "cluster.log").open("w", encoding="utf-8") as log:
        work = {"THREADKEEP_WORK": str(folder / "work")}
        with subprocess.Popen(command, env={**os.environ, **work, **environment}, stderr=log, **pipes) as process:
            try:
                assert process.stdout is not None
                yield process, process.stdout.readline().strip()
            finally:
                process.kill()
