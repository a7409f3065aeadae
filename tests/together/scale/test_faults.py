"""``threadkeep export --dask`` where a part is at fault: the others do what can be done, and it says what is wrong."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import Future
from hashlib import sha256
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from distributed import Client

from command import Done
from exporting import PATIENCE
from exports import ASSISTANT, exported, rows, served
from processes import ended, run_alone, started
from scaling import KEYS, Limited, Run, asked_twice, cluster_of, load, workers_of
from terminal import INTERRUPT, in_terminal
from threadkeep.api.keys import Key
from threadkeep.errors import ServerUnreachable
from threadkeep.scale import cluster
from threadkeep.scale.cluster import Cluster, connected
from threadkeep.scale.dask_worker import WorkerUnusable, digest_of_plan, meet
from threadkeep.scale.open_store import open_store
from threadkeep.scale.plan import make_plan, read_plan
from threadkeep.scale.shard import Shard, Stop, export_shard
from threadkeep.scale.working_folders import working_folders
from threadkeep.serialization.thread_ids import ListedId
from threadkeep.storage.index import IndexHeader
from threadkeep.storage.session import ThreadList


def export_at(run: Run, address: str, *more: object, keys: tuple[str, ...] = KEYS) -> list[object]:
    """The arguments of an export on this cluster."""
    return [*run.words(keys=keys)[:-1], address, *more]


def shards_of(run: Run, base_url: str) -> list[Shard]:
    """Plan the list, and return its shards."""
    header = IndexHeader(source=base_url, assistant_id=ASSISTANT, flat=False, include=())
    ids = map(ListedId, count(1), run.ids.read_text(encoding="utf-8").split())
    make_plan(open_store(run.prefix), header, ThreadList(ids=ids), workers=2)
    return [
        Shard(planned=one, concurrency=1, rpm=300) for part in read_plan(open_store(run.prefix)) for one in part.shards
    ]


@pytest.fixture
def without_threadkeep(run: Run) -> dict[str, Any]:
    """The options of a scheduler or a worker that cannot import threadkeep."""
    path = run.folder / "without.py"
    path.write_text("import sys\nsys.modules['threadkeep'] = None\n", encoding="utf-8")
    return {"preload": [str(path)]}


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that accepts, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        yield server


def test_after_the_sunset_all_that_was_fetched_is_put(fake: Limited, run: Run, base_url: str) -> None:
    """By a worker that has done none of these shards, and without a request; nothing is left in working folders."""
    load(fake, run, 16, 250)
    first, *others = shards_of(run, base_url)
    for shard in others:
        stop = Stop()
        fake.before(stop.set, nth=4)  # its first thread is complete
        export_shard(shard, Key(KEYS[0]), open_store(run.prefix), stop=stop, work=run.folder / "work")
    assert {*working_folders(run.folder / "work")} == {shard.planned.name for shard in others}
    fake.sunset.now()
    sent = len(fake.asked)
    done = run.export(workers=1)
    assert done.code == 3, done
    assert {request.path.split("/")[3] for request in fake.asked[sent:]} <= {*first.planned.ids}
    assert [path for path in (run.folder / "work").rglob("*") if path.is_file()] == [], done
    complete = {name for name, row in rows(run.merged()).items() if row["outcome"] == "complete"}
    assert complete == {shard.planned.ids[0] for shard in others}
    assert f"{len(others)} of 16 threads complete" in done.err


def test_a_store_that_the_workers_do_not_share(fake: Limited, run: Run, base_url: str, tmp_path: Path) -> None:
    """A worker is not used whose folder of the same name is another one, or whose working folder cannot be used."""
    load(fake, run, 4, 1)
    shards_of(run, base_url)
    plan = digest_of_plan(open_store(run.prefix))
    for place, found in ((run.prefix, "another one"), (str(tmp_path / "empty"), "missing")):
        with pytest.raises(WorkerUnusable, match=f"not the same place.* is {found}. Choose a folder"):
            asyncio.run(meet(place, sha256(b"").hexdigest()))
    assert len(asyncio.run(meet(run.prefix, plan))) == 32


def test_a_shard_at_fault(fake: Limited, run: Run, base_url: str) -> None:
    """The others are done, and the run ends with 5 and names it; the next one asks only for what is missing."""
    load(fake, run, 16, 2)
    shards = shards_of(run, base_url)
    place = Path(run.prefix) / "shards" / shards[0].name
    place.parent.mkdir()
    place.write_text("no folder", encoding="utf-8")
    done = run.export()
    assert done.code == 5, done
    assert f"shard {shards[0].name}: {place}" in done.err.replace("\n", " ")
    assert f"{16 - len(shards[0].planned.ids)} of 16 threads complete" in done.err
    place.unlink()
    sent = len(fake.asked)
    assert run.export().code == 0
    assert len(fake.asked) == sent  # they are in the working folder
    assert exported(run.merged()) == served(fake)


def test_a_store_that_refuses_every_shard(fake: Limited, run: Run) -> None:
    """The run does not fetch all of them for nothing; the shards that it names are folded."""
    load(fake, run, 32, 1)
    keys = tuple(f"sk-{number}-secret" for number in range(4))
    place = Path(run.prefix) / "shards"
    fake.before(lambda: place.write_text("no folder", encoding="utf-8"), nth=1)
    done = run.export(workers=4, keys=keys)
    assert done.code == 5, done
    assert " and 7 more (0 of 32 threads complete)" in done.err
    assert len(fake.asked) < 32


def test_workers_at_fault(fake: Limited, run: Run, without_threadkeep: dict[str, Any]) -> None:
    """A working folder that cannot be used, and a worker without threadkeep: another one does their shards."""
    load(fake, run, 16, 2)
    nowhere = run.folder / "file"
    nowhere.write_text("", encoding="utf-8")
    bad = {"env": {"THREADKEEP_WORK": str(nowhere / "work")}}
    with cluster_of(run.folder, bad, without_threadkeep, {}) as (_, address):
        done = run_alone(*export_at(run, address, keys=(*KEYS, "sk-third-secret")), env=run.environment)
    assert done.code == 0, done
    assert f"the working folder cannot be used: {nowhere}" in done.err
    assert "it cannot run this threadkeep. Install it there: pip install" in done.err
    assert exported(run.merged()) == served(fake)


def test_no_part_can_be_used(fake: Limited, run: Run, without_threadkeep: dict[str, Any]) -> None:
    """No run waits for workers that there will not be; a scheduler needs threadkeep, too."""
    load(fake, run, 4, 2)
    with cluster_of(run.folder, without_threadkeep) as (_, address):
        done = run_alone(*export_at(run, address), env=run.environment)
    assert (done.code, "it cannot run this threadkeep. Install it there" in done.err) == (5, True), done
    with cluster_of(run.folder, {}, scheduler=without_threadkeep) as (_, address):
        done = run_alone(*export_at(run, address), env=run.environment)
    assert (done.code, "the Dask scheduler cannot run this threadkeep" in done.err) == (2, True), done
    assert not fake.asked


def test_ctrl_c_with_a_worker_that_does_not_answer(fake: Limited, run: Run) -> None:
    """It is named; Ctrl-C once more ends the command at once."""
    load(fake, run, 40, 250)
    running: Future[Any] = Future()
    stopped = list[int]()

    def stop() -> None:
        stopped.append(workers_of(running.result(PATIENCE).pid)[0])
        os.kill(stopped[0], signal.SIGSTOP)
        running.result().send_signal(signal.SIGINT)

    fake.before(stop, nth=30)
    try:
        with run.started("--concurrency", 2) as process:
            running.set_result(process)
            while b"does not answer: what it has fetched stays" not in (line := process.stderr.readline()):
                assert line
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 130
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGKILL)
    assert run.export().code == 0
    assert exported(run.merged()) == served(fake)


@pytest.mark.parametrize("keys", [[INTERRUPT], [INTERRUPT, INTERRUPT]])
def test_ctrl_c_in_a_terminal(fake: Limited, run: Run, keys: list[str]) -> None:
    """It goes to every process there; the command says what is left where, and no worker says anything."""
    load(fake, run, 40, 250)
    is_at_work, is_over = Event(), Event()

    def hold() -> None:
        is_at_work.set()
        is_over.wait(PATIENCE)

    fake.before(hold, nth=14)  # a thread has come by then, and no shard
    try:
        with in_terminal(*run.words("--concurrency", 2), **run.environment) as terminal:
            assert is_at_work.wait(PATIENCE)
            for key in keys:
                terminal.type(key)
                terminal.wait_for("threadkeep: ")
            assert terminal.ended() == 130
    finally:
        is_over.set()
    assert not [line for line in terminal.shown.splitlines() if "Traceback" in line or "distributed" in line]
    assert "does not answer" not in terminal.shown
    assert "working folder" in terminal.shown
    assert "The same command resumes the export" in terminal.shown
    assert run.export().code == 0
    assert asked_twice(fake) <= 2 * 2
    assert exported(run.merged()) == served(fake)


@pytest.mark.parametrize("keys", [INTERRUPT, INTERRUPT * 2])
def test_ctrl_c_in_a_terminal_while_workers_are_started(fake: Limited, run: Run, keys: str) -> None:
    """A process that has not begun yet says nothing either."""
    load(fake, run, 4, 1)
    with in_terminal(*run.words(), **run.environment) as terminal:
        while not workers_of(terminal.pid):
            os.sched_yield()
        for key in keys:
            terminal.type(key)
        assert terminal.ended() == 130
    assert "Traceback" not in terminal.shown
    assert "distributed" not in terminal.shown
    assert "interrupted" in terminal.shown
    assert run.export().code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_nobody_answers(fake: Limited, run: Run, silent: socket.socket, number: signal.Signals) -> None:
    """A scheduler, or a bucket of which the plan is read: the command ends, without another word."""
    load(fake, run, 4, 1)
    port = silent.getsockname()[1]
    bucket = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}
    secrets = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "a-secret"}
    on_bucket = [*run.words()[:3], "s3://bucket/prefix", *run.words()[4:]]
    for words, more in ((export_at(run, f"tcp://127.0.0.1:{port}"), {}), (on_bucket, {**bucket, **secrets})):
        with started(*words, env={**run.environment, **more}) as process:
            connection, _ = silent.accept()
            with connection:
                process.send_signal(number)
                done = ended(process)
        assert done.code == 130, done
        assert [line for line in done.err.splitlines() if "interrupted" not in line and "resumes" not in line] == []


def test_what_is_no_scheduler(monkeypatch: pytest.MonkeyPatch, silent: socket.socket) -> None:
    """A server that does not answer, and an address that needs a configuration of TLS."""
    monkeypatch.setattr(cluster, "_SCHEDULER", 0.5)

    async def connect(address: str) -> None:
        async with connected(Cluster.parse(address)):
            pass

    for scheme in ("tcp", "tls"):
        with pytest.raises(ServerUnreachable, match="no Dask scheduler answers at"):
            asyncio.run(connect(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}"))


def test_only_the_command_reaches_its_processes() -> None:
    """A scheduler of this machine refuses whoever does not have its certificate."""

    async def connect() -> None:
        async with connected(Cluster(processes=1)) as connection:
            address = connection.client.scheduler.address
            stranger: Any = Client(address, asynchronous=True)  # type: ignore[no-untyped-call]
            with pytest.raises(TypeError, match="TLS"):
                await stranger
            await stranger.close()
            assert address.startswith("tls://")

    asyncio.run(connect())


def test_keys_are_in_no_debug_log(fake: Limited, run: Run) -> None:
    """Dask logs all messages then."""
    load(fake, run, 4, 1)
    with cluster_of(run.folder, {}, {}, DASK_LOGGING__DISTRIBUTED="debug") as (_, address):
        done = run_alone(*export_at(run, address), env=run.environment)
    assert done.code == 0, done
    log = (run.folder / "cluster.log").read_text(encoding="utf-8")
    assert "threadkeep.scale.dask_worker" in log
    assert [key for key in KEYS if key in log] == []


def test_a_worker_stops_when_its_command_is_gone(fake: Limited, run: Run) -> None:
    """A shard that nobody waits for has no key any more, which the next run gives to others."""
    load(fake, run, 16, 250)
    running: Future[Any] = Future()
    fake.before(lambda: running.result(PATIENCE).kill(), nth=6)
    with cluster_of(run.folder, {"nthreads": 2}) as (_, address):
        words = export_at(run, address, "--concurrency", 1, keys=KEYS[:1])
        with started(*words, "--rpm", 240, env=run.environment) as process:
            running.set_result(process)
            killed: Done = ended(process)
        assert killed.code == -signal.SIGKILL
        done = run_alone(*words, env=run.environment)
    assert done.code == 0, done
    assert asked_twice(fake) <= 2
    assert exported(run.merged()) == served(fake)


def test_the_objects_are_those_of_the_plan(fake: Limited, run: Run) -> None:
    """Another assistant is refused, and nothing is said of options that --dask does not take."""
    load(fake, run, 2, 1)
    assert run.export().code == 0
    done = run_alone(*run.words()[:2], "asst_other", *run.words()[3:], env=run.environment)
    assert (done.code, "--fresh" in done.err, "another prefix" in done.err) == (5, False, True), done
    assert json.loads(run.export("--json").out)["exit"] == 0
