"""Commands that read a prefix: as they read the export that ``threadkeep merge`` writes of it."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import obstore
import pytest

from command import Done
from command import Run as Command
from exports import ASSISTANT, beside, rows
from fake_assistants.demo import demo_world
from processes import ended, started
from pushes import json_rows
from scaling import Limited, Run
from threadkeep import read
from threadkeep.api.keys import Key
from threadkeep.errors import OutputUnusable
from threadkeep.scale.bucket import Bucket
from threadkeep.scale.folder import Folder
from threadkeep.scale.object_store import ObjectStore
from threadkeep.scale.open_store import open_store
from threadkeep.scale.plan import read_plan
from threadkeep.scale.plan_objects import PlannedShard, encode_plan
from threadkeep.scale.shard import Shard, export_shard
from threadkeep.storage.index import IndexHeader
from threadkeep.validation.findings import KINDS

EXPORT = "0123456789abcdef" * 2
SHARDS = ((0, 2), (2, 4), (4, 5))


@pytest.fixture
def put(
    fake: Limited, base_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[str, list[str]]]:
    """Puts five threads under the prefix of a run, in three shards, of which some are not exported yet."""
    monkeypatch.setenv("OPENAI_BASE_URL", base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    fake.load(demo_world(5, 4))
    names = [thread["id"] for thread in fake.snapshot()["threads"]]

    def put(run: Run, finished: tuple[int, ...] = (0, 1, 2)) -> tuple[str, list[str]]:
        store = open_store(run.prefix)
        header = IndexHeader(source=base_url, assistant_id="auto", flat=False, include=("threads",))
        shards = [tuple(names[start:end]) for start, end in SHARDS]
        store.create("plan/000001.ndjson", encode_plan(EXPORT, 1, header, shards))
        for number in finished:
            shard = Shard(planned=PlannedShard(EXPORT, header, shards[number]), files=True)
            assert export_shard(shard, Key("sk-test"), store, work=run.folder / "work").is_complete
        return run.prefix, names

    return put


@pytest.fixture
def merged(threadkeep: Command, tmp_path: Path) -> Callable[[str], Path]:
    """Merges a prefix, to a file of the same name in another folder."""

    def merge(prefix: str) -> Path:
        out = tmp_path / "merged" / prefix.rpartition("/")[2]
        out.parent.mkdir()
        assert threadkeep("merge", prefix, "-o", out).code in (0, 1)
        return out

    return merge


Put = Callable[..., tuple[str, list[str]]]
Merged = Callable[[str], Path]


def assert_nothing_temporary(run: Run, *done: Done) -> None:
    """Neither on the disk nor in what was printed."""
    assert [*(run.folder / "temporary").iterdir()] == []
    for one in done:
        assert "temporary" not in one.out + one.err


def without_steps(page: Path) -> str:
    """Return a page without what to do next: a prefix is exported in another way."""
    return re.sub(r'<div class="next">.*?</div>', "", page.read_text(), flags=re.S)


def test_validate(
    fake: Limited, put: Put, either: Run, threadkeep: Command, merged: Merged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report is that of the merged export, for people and for programs, and so is the page."""
    monkeypatch.setattr("threadkeep.cli.commands.validate.now", lambda: datetime(2027, 1, 1, tzinfo=UTC))
    prefix, names = put(either)
    either.write_list(*names, "thread_more")
    out = merged(prefix)
    for options in ([], ["--ids", either.ids, "--report", either.folder / "page.html"], ["--live"]):
        page = either.folder / "page.html"
        page.unlink(missing_ok=True)
        of_prefix = threadkeep("validate", prefix, *options)
        pages = [without_steps(page).replace(prefix, str(out))] if page.exists() else []
        of_merged = threadkeep("validate", out, *options)
        assert of_prefix.code == of_merged.code == (1 if "--ids" in options else 0), of_prefix
        assert of_prefix.out.replace(prefix, str(out)).split("Next")[0] == of_merged.out.split("Next")[0]
        assert pages == [without_steps(page) for _ in pages]
        assert_nothing_temporary(either, of_prefix)
    with_list = threadkeep("validate", prefix, "--ids", either.ids)
    assert f"--keys-file=KEYS --dask=ADDRESS {either.ids} auto {prefix}" in with_list.out
    fake.load({"messages": [{"id": "msg_late", "thread_id": names[0], "role": "user", "content": []}]})
    grown = threadkeep("validate", prefix, "--live", "--ids-to-refetch", either.folder / "again.txt")
    assert f"threadkeep merge {prefix} again.ndjson -o out.ndjson" in grown.out, grown
    of_prefix, of_merged = threadkeep("validate", prefix, "--json"), threadkeep("validate", out, "--json")
    assert {**json.loads(of_prefix.out), "out": str(out)} == json.loads(of_merged.out)
    assert json.loads(of_prefix.out)["out"] == prefix


@pytest.mark.parametrize("to", ["chat", "html", "markdown"])
def test_convert(put: Put, either: Run, threadkeep: Command, merged: Merged, to: str) -> None:
    """The same bytes, files that were downloaded among them."""
    prefix, names = put(either)
    out = merged(prefix)
    found = list[dict[str, bytes]]()
    for place in (prefix, out):
        target = either.folder / f"target-{len(found)}"
        done = threadkeep("convert", place, "--to", to, "-o", target)
        assert done.code == 0, done
        paths = [path for path in either.folder.rglob("*") if target in (path, *path.parents) and path.is_file()]
        found.append({str(path.relative_to(either.folder))[8:]: path.read_bytes() for path in paths})
        assert_nothing_temporary(either, done)
    assert found[0] == found[1]
    assert found[0]
    refused = threadkeep("convert", prefix, "--to", to, "-o", either.folder / "target-0")
    assert (refused.code, "exists already" in refused.err) == (5, True)
    unknown = threadkeep("convert", prefix, "--to", to, "-o", either.folder / "new", "--only", "thread_other")
    assert (unknown.code, f"is not a complete thread of {prefix}" in unknown.err) == (2, True)
    printed = threadkeep("convert", prefix, "--to", to, "-o", either.folder / "new", "--only", names[3], "--json")
    assert json.loads(printed.out)["out"] == prefix
    assert json.loads(printed.out)["threads"] == 1


def test_push(fake: Limited, put: Put, either: Run, threadkeep: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store and the map are in the current folder; a rerun sends what is new in the prefix, and nothing twice."""
    here = either.folder / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    prefix, names = put(either, finished=(0, 2))
    name = prefix.rpartition("/")[2]
    planned = threadkeep("push", prefix, "--to", "conversations", "--dry-run")
    assert (planned.code, [*here.iterdir()]) == (0, [])
    assert f"{prefix}: dry run" in planned.out
    first = threadkeep("push", prefix, "--to", "conversations")
    assert first.code == 1, first
    assert f"threadkeep status {prefix}" in first.err
    assert {path.name for path in here.iterdir()} >= {f"{name}.push", f"{name}.conversations.ndjson"}
    put(either)
    again = threadkeep("push", prefix, "--to", "conversations", "--verify", "--json")
    assert again.code == 0, again
    printed = json.loads(again.out)
    assert (printed["out"], printed["pushed"], printed["verified"]) == (prefix, 5, 5)
    sent = sum(request.method == "POST" for request in fake.asked)
    assert threadkeep("push", prefix, "--to", "conversations").code == 0
    assert sum(request.method == "POST" for request in fake.asked) == sent
    mapped = json_rows(here / f"{name}.conversations.ndjson")
    assert sorted(row["thread_id"] for row in mapped) == sorted(names)
    assert len(fake.snapshot()["conversations"]) == len(names)
    assert_nothing_temporary(either, planned, first, again)
    (here / f"{name}.push").write_bytes(b"something else")
    assert threadkeep("push", prefix, "--to", "conversations").code == 5


def test_status(fake: Limited, put: Put, either: Run, threadkeep: Command, merged: Merged) -> None:
    """The numbers are those of the merged export; nothing is read but the plan, manifests and indexes."""
    assert threadkeep("status", either.prefix).code == 5
    prefix, names = put(either, finished=(0, 2))
    out = merged(prefix)
    sent = len(fake.asked)
    done = threadkeep("status", prefix)
    assert done.code == 1, done
    assert "  shards        2 of 3 complete" in done.out
    assert "--dask=ADDRESS" in done.out
    of_merged = threadkeep("status", out).out.splitlines()
    assert done.out.splitlines()[1] == of_merged[1]
    assert "  unfinished    2 threads: not asked for yet" in done.out
    printed = json.loads(threadkeep("status", prefix, "--json").out)
    theirs = json.loads(threadkeep("status", out, "--json").out)
    assert (printed["complete"], printed["shards"], printed["complete_shards"]) == (False, 3, 2)
    for name in ("outcomes", "include", "lacking", "assistant_id", "source", "started_at", "finished_at"):
        assert printed["manifest"][name] == theirs["manifest"][name], name
    for name in ("out", "threads"):
        assert printed["manifest"]["files"][name]["bytes"] == theirs["manifest"]["files"][name]["bytes"]
    assert threadkeep("status", prefix, "--done").out.split() == [*names[:2], *names[4:]]
    put(either)
    complete = threadkeep("status", prefix)
    assert (complete.code, f"Next: threadkeep merge {prefix} -o out.ndjson\n" in complete.out) == (0, True)
    assert len(fake.asked) > sent  # by the shard that was put
    assert_nothing_temporary(either, done, complete)


def test_what_takes_no_prefix(put: Put, run: Run, threadkeep: Command) -> None:
    """Nobody is told to move an export away: each command says what reads or writes such a one."""
    prefix, _ = put(run)
    out = run.folder / "out.ndjson"
    run.write_list("thread_1")
    writes = "has an export in shards, which only --dask writes to"
    reads = f"make one file of it with `threadkeep merge {prefix} -o out.ndjson`"
    for words, said in (
        (["export", run.ids, ASSISTANT, prefix], writes),
        (["write", prefix], reads),
        (["show", prefix], reads),
        (["split", "--by", "assistant", prefix], reads),
    ):
        done = threadkeep(*words)
        assert (done.code, said in done.err) == (5, True), done
    with pytest.raises(OutputUnusable, match="is an export in shards"):
        read(prefix)
    assert threadkeep("merge", prefix, "-o", out).code == 0
    done = threadkeep("merge", prefix, out, "-o", prefix)
    assert (done.code, writes in done.err) == (5, True), done
    for place in (out, out.as_uri()):
        done = threadkeep("export", run.ids, ASSISTANT, place, "--dask", "local:1")
        assert (done.code, f"{out} is a file, and" in done.err, "Name another OUT" in done.err) == (5, True, True), done


def test_a_plan_without_shards(put: Put, run: Run, threadkeep: Command) -> None:
    """There is a state of it, nothing to read, and all threads are named as not asked for yet."""
    prefix, names = put(run, finished=())
    done = threadkeep("status", prefix)
    assert (done.code, "0 of 3 complete" in done.out, f"{len(names)} threads" in done.out) == (1, True, True)
    assert threadkeep("status", prefix, "--done") == Done(0, "", "")
    for words in (["merge", prefix, "-o", run.folder / "out"], ["convert", prefix, "--to", "chat", "-o", "target"]):
        refused = threadkeep(*words)
        assert (refused.code, f"{prefix} has no finished shard yet" in refused.err) == (5, True)
    run.write_list(*names, "thread_more")
    validated = threadkeep("validate", prefix, "--ids", run.ids, "--json")
    found = json.loads(validated.out)
    assert (validated.code, found["counts"]) == (1, {"thread_unfinished": len(names), "not_exported": 1})
    assert found["refetch"] == ["thread_more", *names]


def first_shard(run: Run) -> str:
    """The name of the first shard."""
    return next(read_plan(open_store(run.prefix))).shards[0].name


def object_of(run: Run, ending: str) -> Path:
    """An object of the first shard."""
    return next(path for path in (Path(run.prefix) / "shards" / first_shard(run)).iterdir() if path.suffix == ending)


def test_a_damaged_object(put: Put, run: Run, threadkeep: Command) -> None:
    """Every command that reads messages names it; what is missing is seen in the state too."""
    prefix, names = put(run)
    damaged = object_of(run, ".out")
    damaged.write_bytes(damaged.read_bytes().swapcase())
    target = run.folder / "target"
    for words in (
        ["convert", prefix, "--to", "chat", "-o", target],
        ["push", prefix, "--to", "conversations"],
        ["merge", prefix, "-o", target],
    ):
        done = threadkeep(*words)
        assert (done.code, f"  shards/{first_shard(run)}/{damaged.name} is damaged\n" in done.err) == (5, True), done
        assert_nothing_temporary(run, done)
    assert not [*run.folder.glob("target*"), *run.folder.glob(".threadkeep*")]
    damaged.unlink()
    state = threadkeep("status", prefix)
    assert (state.code, f"shards/{first_shard(run)}/{damaged.name} is missing" in state.err) == (1, True)
    left = threadkeep("status", prefix, "--done")
    assert (left.code, left.out.split()) == (1, names[2:])
    index = object_of(run, ".index")
    index.write_bytes(index.read_bytes() + b"\n")
    assert f"{index} is damaged" in threadkeep("status", prefix, "--done").err


def change(store: ObjectStore, name: str, content: bytes | None) -> None:
    """Write over an object, or remove it."""
    if isinstance(store, Folder):
        path = store.path / name
        path.unlink() if content is None else path.write_bytes(content)
    elif isinstance(store, Bucket):
        if content is None:
            obstore.delete(store._store, name)
        else:
            obstore.put(store._store, name, content)


def of_the_first(store: ObjectStore, ending: str) -> str:
    """The name of an object of the first shard."""
    shard = next(read_plan(store)).shards[0].name
    return next(name for name in store.names("shards") if name.startswith(f"shards/{shard}/") and ending in name)


Damage = tuple[str, bool, dict[str, int]]
DAMAGES: list[Damage] = [
    (".out", False, {"file_mismatch": 1, "lost_thread": 2}),
    (".out", True, {"lost_file": 1, "lost_thread": 2}),
    (".index", False, {"file_mismatch": 1, "unindexed_lines": 4, "not_exported": 2}),
    (".index", True, {"lost_file": 1}),
    (".threads", False, {"file_mismatch": 1, "lost_thread": 2}),
    (".downloads", True, {"lost_file": 1}),
    ("/files/", False, {"file_mismatch": 1}),
    ("/files/", True, {"lost_file": 1}),
    ("/manifest-", False, {"unreadable_manifest": 1, "thread_unfinished": 2}),
    ("/manifest-", True, {"lost_manifest": 1, "thread_unfinished": 2}),
]


@pytest.mark.parametrize(("ending", "is_lost", "codes"), DAMAGES)
def test_validate_names_objects_and_threads(
    put: Put, run: Run, threadkeep: Command, ending: str, is_lost: bool, codes: dict[str, int]
) -> None:
    """Of the damaged shard alone; what is done then as it says makes the prefix complete again."""
    prefix, names = put(run)
    store = open_store(prefix)
    name = of_the_first(store, ending)
    change(store, name, None if is_lost else (store.get(name) or b"")[::-1])
    page, again = run.folder / "page.html", run.folder / "again.txt"
    done = threadkeep("validate", prefix, "--json", "--report", page, "--ids-to-refetch", again)
    found = json.loads(done.out)
    assert (done.code, done.err, found["complete"], found["out"]) == (1, "", False, prefix), done
    errors = {code: number for code, number in found["counts"].items() if KINDS[code].severity == "error"}
    assert errors == codes
    objects = [one for one in found["findings"] if one["code"] in {"file_mismatch", "lost_file"}]
    assert {one["file"] for one in found["findings"] if one["severity"] == "error"} >= {one["file"] for one in objects}
    assert [one["file"] for one in objects] == [name] * len(objects)
    assert {*found["refetch"]} <= {*names[:2]}
    assert [*again.read_text().split()] == found["refetch"]
    assert name in page.read_text()
    shown = threadkeep("validate", prefix)
    assert (shown.code, name in shown.out) == (1, True), shown
    assert f"--files --base-url={found_source(store)} --keys-file=KEYS --dask=ADDRESS THREAD_IDS" in shown.out
    assert ("Remove the damaged objects" in shown.out) == ("file_mismatch" in codes)
    assert_nothing_temporary(run, done, shown)
    if "file_mismatch" in codes:
        change(store, name, None)
    put(run)
    assert threadkeep("validate", prefix).code == 0


def test_validate_of_a_shard_with_nothing_but_its_marker(put: Put, run: Run, threadkeep: Command) -> None:
    """All of its threads are named, and all of its objects."""
    prefix, names = put(run)
    store = open_store(prefix)
    shard = first_shard(run)
    lost = [one for one in store.names(f"shards/{shard}") if "/manifest-" not in one]
    for one in lost:
        change(store, one, None)
    done = threadkeep("validate", prefix, "--json")
    found = json.loads(done.out)
    assert (done.code, found["counts"]["not_exported"], found["refetch"]) == (1, 2, names[:2]), done
    assert {one["file"] for one in found["findings"] if one["code"] == "lost_file"} == {*lost}


def found_source(store: ObjectStore) -> str:
    """The address of an export."""
    return next(read_plan(store)).header.source


def test_validate_with_several_damages(put: Put, either: Run, threadkeep: Command) -> None:
    """Each is named; the numbers are those of all shards, and the comparisons are made of all that can be read."""
    prefix, names = put(either, finished=(0, 1))
    store = open_store(prefix)
    whole = json.loads(threadkeep("validate", prefix, "--json").out)
    out = of_the_first(store, ".out")
    lines = (store.get(out) or b"").splitlines(keepends=True)
    change(store, out, b"".join([lines[0].replace(b"msg_", b"gsm_"), *lines[1:]]))
    foreign = f"shards/{'0' * 32}"
    change(store, of_the_first(store, ".threads"), None)
    if isinstance(store, Folder):
        (store.path / foreign).mkdir()
    change(store, f"{foreign}/manifest-0001.json", b"{}")
    either.write_list(*names, "thread_more")
    done = threadkeep("validate", prefix, "--ids", either.ids, "--live", "--json")
    found = json.loads(done.out)
    assert (done.code, done.err) == (1, ""), done
    by_code = {one["code"]: one for one in found["findings"]}
    assert (by_code["digest_mismatch"]["file"], by_code["digest_mismatch"]["thread_id"]) == (out, names[0])
    assert by_code["file_mismatch"]["file"] == out
    assert by_code["lost_file"]["file"].endswith(".threads")
    assert by_code["unplanned_shard"]["file"] == foreign
    assert by_code["not_exported"]["thread_id"] == "thread_more"
    assert found["counts"]["thread_unfinished"] == 1
    assert found["live"]["compared"] == 2
    assert (found["totals"], found["outcomes"]) == (whole["totals"], whole["outcomes"])
    assert "out.ndjson" not in done.out
    assert_nothing_temporary(either, done)


@pytest.mark.parametrize("is_lost", [False, True])
def test_validate_without_a_plan(put: Put, either: Run, threadkeep: Command, is_lost: bool) -> None:
    """The object and all shards are named, and what to do. A prefix without anything is none."""
    assert threadkeep("validate", either.prefix).code == 5
    prefix, _ = put(either)
    store = open_store(prefix)
    shards = {f"shards/{one.name}" for one in next(read_plan(store)).shards}
    change(store, "plan/000001.ndjson", None if is_lost else b"{}\n")
    done = threadkeep("validate", prefix, "--json")
    found = json.loads(done.out)
    code = "lost_file" if is_lost else "file_mismatch"
    assert (done.code, found["counts"]) == (1, {code: 1, "unplanned_shard": 3}), done
    assert {one["file"] for one in found["findings"]} == {"plan/000001.ndjson", *shards}
    shown = threadkeep("validate", prefix)
    assert "Next: Restore the objects of plan/" in shown.out
    assert "--dask" not in shown.out
    assert_nothing_temporary(either, done, shown)


def test_many_damaged_objects(put: Put, run: Run, threadkeep: Command) -> None:
    """A line for each of the first, and the number of the others."""
    prefix, _ = put(run)
    lost = [path for path in Path(prefix, "shards").rglob("*") if path.suffix in (".out", ".index")]
    for path in lost:
        path.unlink()
    for words in (["status", prefix], ["merge", prefix, "-o", run.folder / "out.ndjson"]):
        done = threadkeep(*words)
        first, *lines = done.err.splitlines()
        assert f"{len(lost)} " in first
        assert "missing or damaged" in first
        assert [line for line in lines[:3] if not re.fullmatch("  shards/[^ ]+ is missing", line)] == []
        assert lines[3] == f"  … and {len(lost) - 3} more missing"
        assert lines[4].startswith("  Remove what is damaged, and run the same export command again")
        assert lines[5:] == []


def test_what_is_no_damage_of_an_object_has_the_names_of_the_prefix(
    put: Put, run: Run, threadkeep: Command, ids: Path, base_url: str
) -> None:
    """Such as an export of another form."""
    prefix, _ = put(run)
    flat = run.folder / "flat.ndjson"
    assert threadkeep("export", ids, ASSISTANT, flat, "--flat", "--base-url", base_url).code == 0
    done = threadkeep("merge", flat, prefix, "-o", run.folder / "out.ndjson")
    assert (done.code, f"{prefix}/shards/{first_shard(run)}/out.ndjson and {flat} cannot" in done.err) == (5, True), (
        done
    )


def test_a_merge_of_exports_and_prefixes(put: Put, run: Run, threadkeep: Command) -> None:
    """In the order in which they are given, with the threads of a shard that was not put in their places."""
    prefix, names = put(run, finished=(0, 2))
    one, two, three = (run.folder / f"{name}.ndjson" for name in "abc")
    for out, listed in ((one, [names[1], names[3]]), (two, ["thread_other"])):
        run.write_list(*listed)
        assert threadkeep("export", run.ids, "auto", out, "--include", "threads").code in (0, 1)
    done = threadkeep("merge", two, prefix, one, "-o", three)
    assert done.code == 1, done
    assert [*rows(three)] == ["thread_other", *names]
    outcomes = {name: row["outcome"] for name, row in rows(three).items()}
    assert outcomes == {**dict.fromkeys(names, "complete"), names[2]: "unfinished", "thread_other": "missing"}
    run.write_list(*reversed(names))
    assert threadkeep("merge", prefix, two, "--ids", run.ids, "-o", three, "--force").code == 1
    assert [*rows(three)] == [*reversed(names), "thread_other"]
    assert not [*run.folder.glob(".threadkeep*")]
    assert beside(three, ".threads").exists()


def test_a_signal_leaves_nothing(put: Put, run: Run, fake: Limited) -> None:
    """The temporary folder is removed when a command is interrupted that reads from it."""
    prefix, _ = put(run)
    environment = {**os.environ, "TMPDIR": str(run.folder / "temporary")}
    here = run.folder / "here"
    here.mkdir()
    with started("push", prefix, "--to", "conversations", env=environment, cwd=here) as process:
        fake.before(lambda: process.send_signal(signal.SIGTERM), of=lambda request: request.method == "POST")
        done = ended(process)
    assert done.code == 130, done
    assert_nothing_temporary(run, done)


def test_urls_need_obstore(threadkeep: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without it one line says what to install; a command that cannot read a prefix says so."""
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    for words in (
        ["status", "s3://bucket/prefix"],
        ["validate", "s3://bucket/prefix"],
        ["merge", "gs://bucket/prefix", "-o", tmp_path / "out.ndjson"],
        ["push", "az://bucket/prefix", "--to", "conversations", "--base-url", "http://127.0.0.1:1/v1"],
    ):
        done = threadkeep(*words)
        assert (done.code, done.out) == (2, "")
        assert done.err.endswith("pip install 'threadkeep[dask]'.\n")
        assert done.err.count("\n") == 1
    split = threadkeep("split", "s3://bucket/prefix", "--by", "assistant")
    assert (split.code, "`threadkeep merge`" in split.err) == (2, True)


def test_what_is_imported() -> None:
    """Neither obstore nor Dask, until they are needed."""
    code = (
        "import sys, threadkeep, threadkeep.cli.main\n"
        "threadkeep.cli.main.run(['status', sys.argv[1]])\n"
        "print({'obstore', 'dask', 'distributed'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, "nothing"]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    assert found.stdout == "set()\n"
