"""``threadkeep export --dask`` from end to end: every thread once, whatever happens to the workers."""

import os
import signal
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from distributed import Client, LocalCluster

from exporting import PATIENCE
from exports import ASSISTANT, exported, manifest, rows, served
from processes import run_alone
from scaling import KEYS, Limited, Run, asked_twice, bytes_of, cluster_of, load, workers_of


def work(run: Run) -> list[Path]:
    """What is left in the working folders."""
    return [path for path in (run.folder / "work").rglob("*") if path.is_file()]


def test_the_merged_shards_are_the_export_of_one_process(fake: Limited, either: Run) -> None:
    """The same bytes; a rerun sends no request and starts no worker; the working folders are gone."""
    load(fake, either, 40, 3)
    done = either.export()
    assert done.code == 0, done
    assert "40 threads with 120 messages" in done.out
    assert {request.headers["authorization"].removeprefix("Bearer ") for request in fake.asked} == {*KEYS}
    assert asked_twice(fake) == 0
    assert work(either) == []
    sent = len(fake.asked)
    objects = either.objects()
    assert either.export().code == 0
    assert len(fake.asked) == sent
    assert either.objects() == objects
    alone = either.folder / "alone.ndjson"
    words = ("export", either.ids, ASSISTANT, alone, "--keys-file", either.folder / f"keys-{'-'.join(KEYS)}")
    assert run_alone(*words, env=either.environment).code == 0
    merged = either.merged()
    assert bytes_of(merged) == bytes_of(alone)
    assert manifest(merged)["digest"] == manifest(alone)["digest"]
    assert run_alone("validate", merged, "--ids", either.ids).code == 0


def test_a_longer_list_adds_shards(fake: Limited, run: Run) -> None:
    """What is there costs nothing; the new threads come behind the others. Another assistant is refused."""
    names = load(fake, run, 12, 2)
    run.write_list(*names[4:], "no id at all")
    done = run.export()
    assert done.code == 1
    assert "line 9 of the list is no thread id" in done.err
    sent = len(fake.asked)
    run.write_list(*names, names[0])
    assert run.export().code == 0
    assert {request.path.split("/")[3] for request in fake.asked[sent:]} == {*names[:4]}
    assert [*rows(run.merged())] == [*names[4:], *names[:4]]
    refused = run_alone(*run.words()[:2], "asst_other", *run.words()[3:], env=run.environment)
    assert refused.code == 5
    assert "with ASSISTANT_ID asst_other" in refused.err


def test_the_threads_of_other_runs_are_in_the_order_of_another_list(fake: Limited, run: Run) -> None:
    """merge --ids, which also reads a prefix next to an export."""
    names = load(fake, run, 6, 2)
    run.write_list(*names[:3])
    assert run.export().code == 0
    run.write_list(*names[3:])
    alone = run.folder / "alone.ndjson"
    assert run_alone("export", run.ids, ASSISTANT, alone, *run.words()[4:6], env=run.environment).code == 0
    run.write_list(*reversed(names))
    out = run.folder / "out.ndjson"
    assert run_alone("merge", run.prefix, alone, "--ids", run.ids, "-o", out).code == 0
    assert [*rows(out)] == names[::-1]
    assert exported(out) == served(fake)
    assert [path.name for path in run.folder.glob(".threadkeep-*")] == []


def test_what_is_left_of_complete_shards_is_removed(fake: Limited, run: Run) -> None:
    """At the end of a run that has work; what is of no complete shard of this prefix stays."""
    names = load(fake, run, 4, 2)
    assert run.export().code == 0
    shards = sorted(path.name for path in (Path(run.prefix) / "shards").iterdir())
    for name in (*shards, f"{shards[0]}.2", "0" * 32):
        (run.folder / "work" / name).mkdir()
    run.write_list(*names, "thread_missing")
    assert run.export(workers=1).code == 1
    assert [path.name for path in (run.folder / "work").iterdir()] == ["0" * 32]


def test_a_damaged_shard_is_fetched_again(fake: Limited, run: Run) -> None:
    """An object that is gone is missed before a request is sent, and the export is complete afterwards."""
    load(fake, run, 8, 2)
    assert run.export().code == 0
    gone = next((Path(run.prefix) / "shards").rglob("*.out"))
    gone.unlink()
    sent = len(fake.asked)
    done = run.export()
    assert len({request.path.split("/")[3] for request in fake.asked[sent:]}) == 1
    assert (done.code, f"{gone.name} is missing" in done.err) == (0, True), done
    assert exported(run.merged()) == served(fake)


def test_ten_kills_of_workers(fake: Limited, run: Run) -> None:
    """Every thread is there once, and a kill costs the pages that were on their way, and no more."""
    load(fake, run, 60, 250)
    running: Future[int] = Future()
    kills = list[int]()

    def kill() -> None:
        pids = workers_of(running.result(PATIENCE))
        if pids:
            kills.append(pids[len(kills) % len(pids)])
            os.kill(kills[-1], signal.SIGKILL)

    for number in range(1, 11):
        fake.before(kill, nth=15 * number)
    with run.started("--concurrency", 2) as process:
        running.set_result(process.pid)
        done = run.ended(process)
    assert done.code == 0, done
    assert len(kills) == 10
    assert asked_twice(fake) <= 10 * 4  # two threads are walked at a time, each with a page that comes and one before
    merged = run.merged()
    assert exported(merged) == served(fake)
    assert work(run) == []


def test_two_runs_at_once(fake: Limited, either: Run) -> None:
    """Both end well, and the shards are those of one run."""
    load(fake, either, 40, 120)
    words = either.words()
    with ThreadPoolExecutor(2) as threads:
        ends = list(threads.map(lambda _: run_alone(*words, env=either.environment), range(2)))
    assert [end.code for end in ends] == [0, 0], ends
    names = [name for name in either.objects() if "manifest-" in name]
    assert all(name.endswith("manifest-0001.json") for name in names)
    merged = either.merged()
    assert exported(merged) == served(fake)
    alone = either.folder / "alone.ndjson"
    assert run_alone(*words[:3], alone, *words[4:6], env=either.environment).code == 0
    assert bytes_of(merged) == bytes_of(alone)


def test_a_refused_key(fake: Limited, run: Run) -> None:
    """The others do its shards; when all are refused, the run ends with 4 and can be resumed."""
    load(fake, run, 30, 2)
    fake.refused = {KEYS[0]}
    done = run.export(workers=2)
    assert done.code == 0, done
    assert "key 1 (line 1 of the file of keys) was rejected" in done.err
    fake.refused = {*KEYS}
    run.write_list(*(f"thread_{number:03}" for number in range(30)), "thread_new")
    done = run.export(workers=2)
    assert done.code == 4, done
    fake.refused = set()
    assert run.export().code == 1  # the new one is missing
    assert exported(run.merged()) == served(fake)


def test_the_sunset_stops_all(fake: Limited, run: Run) -> None:
    """The run ends with 3, and what was fetched by then is in the prefix."""
    load(fake, run, 40, 250)
    fake.before(fake.sunset.now, nth=60)
    done = run.export("--rpm", 2000, "--concurrency", 4)
    assert done.code == 3, done
    assert work(run) == []
    complete = {name for name, row in rows(run.merged()).items() if row["outcome"] == "complete"}
    assert complete
    assert len(fake.asked) <= 60 + 2 * 8


def test_ctrl_c(fake: Limited, run: Run) -> None:
    """The run ends with 130; the next one asks for nothing again that had come."""
    load(fake, run, 40, 250)
    running: Future[Any] = Future()
    fake.before(lambda: running.result(PATIENCE).send_signal(signal.SIGINT), nth=50)
    with run.started("--concurrency", 2) as process:
        running.set_result(process)
        done = run.ended(process)
    assert done.code == 130, done
    assert "interrupted" in done.err
    assert run.export().code == 0
    assert asked_twice(fake) <= 2 * 2
    assert exported(run.merged()) == served(fake)


def test_keys_are_nowhere(fake: Limited, run: Run) -> None:
    """Neither in objects nor in what is printed, nor in the names, the events and the logs of a cluster."""
    load(fake, run, 20, 2)
    fake.refused = {KEYS[0]}
    words = [word if word != "local:2" else "" for word in run.words()]
    make_cluster: Any = LocalCluster
    make_client: Any = Client
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    with make_cluster(**options) as cluster, make_client(cluster) as client:
        seen = client.run_on_scheduler(watch_tasks)
        words[-1] = cluster.scheduler_address
        done = run_alone(*words, env=run.environment)
        assert done.code == 0, done
        seen = client.run_on_scheduler(lambda dask_scheduler: repr(dask_scheduler.seen))
        told = repr([client.get_events(), client.get_scheduler_logs(), client.get_worker_logs()])
        left = client.run(lambda: __import__("threadkeep.scale.dask_worker").scale.dask_worker._STOPS)
    assert "_run_shard" in seen or "threadkeep-" in seen
    assert [*left.values()] == [{}, {}]
    everything = [seen, told, done.out, done.err, *map(repr, run.objects().items())]
    assert not [text for text in everything for key in KEYS if key in text]


def test_a_scheduler_that_dies(fake: Limited, run: Run) -> None:
    """The run ends, and the same command on another one asks for nothing again that had come."""
    load(fake, run, 40, 250)
    with cluster_of(run.folder, {}, {}) as (cluster, address):
        fake.before(cluster.kill, nth=60)
        ended = run_alone(*run.words("--concurrency", 2)[:-3], address, "--concurrency", 2, env=run.environment)
    assert ended.code == 1, ended
    assert "the Dask scheduler does not answer" in ended.err, ended.err
    with cluster_of(run.folder, {}, {}) as (_, address):
        again = run_alone(*run.words("--concurrency", 2)[:-3], address, "--concurrency", 2, env=run.environment)
    assert again.code == 0, again
    assert asked_twice(fake) <= 2 * 4
    assert exported(run.merged()) == served(fake)


def watch_tasks(dask_scheduler: Any) -> None:
    """Keep what the scheduler hears of each task."""
    dask_scheduler.seen = []
    usual = dask_scheduler.transitions

    def transitions(recommendations: Any, stimulus_id: str) -> Any:
        tasks = [dask_scheduler.tasks.get(key) for key in recommendations]
        dask_scheduler.seen += [(repr(task), repr(getattr(task, "run_spec", None))) for task in tasks]
        return usual(recommendations, stimulus_id)

    dask_scheduler.transitions = transitions
