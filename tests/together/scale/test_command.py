"""What the command refuses before anything is planned, and what it prints for programs."""

import json
import shlex

import pytest

from exports import manifest, rows
from processes import run_alone
from scaling import KEYS, Limited, Run, load


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--refresh"], "later version counts"),
        (["--fresh"], "Choose another prefix"),
        (["--drop", "ids.txt"], "Merge the prefix"),
        (["--verbose"], "libraries of its machine"),
        (["--dask", "scheduler"], "neither an address"),
    ],
)
def test_what_does_not_go_together(fake: Limited, run: Run, more: list[str], words: str) -> None:
    """Usage errors, before a worker is started or a request is sent."""
    load(fake, run, 1, 1)
    done = run.export(*more)
    assert (done.code, words in done.err) == (2, True), done
    assert run.objects() == {}
    assert not fake.asked


def test_prefixes_and_files(fake: Limited, run: Run) -> None:
    """A URL needs --dask; memory:// is of one process; an empty ASSISTANT_ID and a file in the place are refused."""
    load(fake, run, 1, 1)
    words = run.words()
    for prefix, more, code, said in (
        ("s3://bucket/prefix", words[4:6], 2, "which only --dask writes to"),
        ("memory:///", words[4:], 2, "choose a folder or a bucket"),
        (run.ids, words[4:], 2, "take the place of the file of ids"),
    ):
        done = run_alone(*words[:3], prefix, *more, env=run.environment)
        assert (done.code, said in done.err) == (code, True), done
    done = run_alone(*words[:2], " ", *words[3:], env=run.environment)
    assert (done.code, "ASSISTANT_ID is empty" in done.err) == (2, True), done
    nothing = run_alone("merge", run.prefix + "/", "-o", run.folder / "out.ndjson")
    assert nothing.code == 5


def test_a_prefix_and_an_export_are_not_mixed_up(fake: Limited, run: Run) -> None:
    """Neither is written to as the other; another export is refused with the options that the command has."""
    load(fake, run, 1, 1)
    assert run.export().code == 0
    words, out = run.words(), run.folder / "out.ndjson"
    out.write_bytes(b"")
    other = [*words[:2], "asst_other", *words[3:]]
    for given, said in (
        ([*words[:3], run.prefix], "Give --dask, or another OUT."),
        ([*words[:3], out, *words[4:]], "is a file, and an export in shards is a folder or a bucket"),
        (other, "was begun with ASSISTANT_ID asst_abc123, and not with ASSISTANT_ID asst_other"),
        ([*words, "--flat"], "was begun without --flat, and not with --flat"),
    ):
        done = run_alone(*given, env={**run.environment, "OPENAI_API_KEY": "sk-any"})
        assert (done.code, said in done.err, "--fresh" in done.err) == (5, True, False), done


def test_the_next_command_can_be_typed(fake: Limited, run: Run) -> None:
    """Also where a file has the name that a merge is given first."""
    load(fake, run, 1, 1)
    here = run.folder / "here"
    here.mkdir()
    for name in ("out.ndjson", "out-2.ndjson"):
        done = run_alone(*run.words(), env=run.environment, cwd=here)
        command = done.out.splitlines()[-1].removeprefix("Next: threadkeep ")
        merged = run_alone(*shlex.split(command), cwd=here)
        assert (done.code, merged.code, (here / name).exists()) == (0, 0, True), merged
    assert run_alone("status", run.prefix, cwd=here).out.splitlines()[-1].endswith(f"{run.prefix} -o out-3.ndjson")


def test_json(fake: Limited, run: Run) -> None:
    """One object, with what is missing."""
    load(fake, run, 3, 1)
    run.write_list("thread_000", "thread_missing")
    done = run.export("--json", workers=2, keys=KEYS[:1])
    assert "1 of 2 are started" in done.err
    printed = json.loads(done.out)
    assert (done.code, printed["exit"]) == (1, 1)
    assert (printed["outcomes"]["complete"], printed["outcomes"]["missing"], printed["messages"]) == (1, 1, 1)
    assert (printed["shards"], printed["complete_shards"], printed["ended_by"]) == (2, 1, None)
    assert printed["requests"] == len(fake.asked)
    merge = f"threadkeep merge {run.prefix} -o out.ndjson"
    assert printed["next"]["command"] == f"{merge} --ids={run.ids}"
    again = run_alone(*shlex.split(printed["next"]["command"])[1:], env=run.environment, cwd=run.folder)
    assert (again.code, [*rows(run.folder / "out.ndjson")]) == (1, ["thread_000", "thread_missing"]), again
    run.write_list("thread_000")
    of_other_lists = json.loads(run.export("--json", keys=KEYS[:1]).out)
    assert of_other_lists["next"]["command"] == merge  # the prefix has a thread that this list has not
    assert printed["out"] == run.prefix


def test_options_of_the_list_and_of_the_export(fake: Limited, run: Run) -> None:
    """They say what is planned, as they do for an export of one process; the list may be standard input."""
    names = load(fake, run, 8, 2)
    done = run.folder / "done.txt"
    done.write_text(names[0], encoding="utf-8")
    words = run.words(
        *("--done", done, "--limit", 4, "--flat", "--quiet", "--files"),
        *("--rpm", 6000, "--concurrency", 2, "--max-retries", 1, "--sunset", "2030-01-01"),
        workers=1,
    )
    words[1] = "-"
    with run.ids.open("rb") as listed:
        ended = run_alone(*words, env=run.environment, stdin=listed)
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    merged = run.merged()
    assert [*rows(merged)] == names[1:5]
    assert manifest(merged)["flat"] is True
    assert manifest(merged)["downloads"] is not None
    refused = run_alone(*words[:2], *words[2:-2], "--done", "-", env=run.environment)
    assert (refused.code, "can be standard input" in refused.err) == (2, True), refused


def test_a_table_of_threads_and_assistants(fake: Limited, run: Run) -> None:
    """The command says how it was read, and the assistants of the list are those of the threads."""
    first, second, third = load(fake, run, 3, 1)
    run.ids.write_text(f"thread_id;assistant_id\n{first};asst_one\n{second};\n{third};asst_three\n", encoding="utf-8")
    words = run.words(workers=1)
    words[2] = "auto"
    done = run_alone(*words, env=run.environment)
    assert (done.code, f"{run.ids}: CSV with semicolons, column thread_id, 3 ids" in done.err) == (0, True), done
    found = rows(run.merged())
    assert (found[first]["assistant_id"], found[third]["assistant_id"]) == ("asst_one", "asst_three")
    assert found[second].get("assistant_id") not in ("asst_one", "asst_three")


def test_shards_of_engines_on_workers(fake: Limited, run: Run) -> None:
    """--shard narrows the list, so two prefixes have all of it; sidecars are saved."""
    names = load(fake, run, 8, 1)
    prefixes = [f"{run.prefix}-{number}" for number in range(2)]
    for number, prefix in enumerate(prefixes):
        words = run.words("--shard", f"{number}/2", "--include", "threads", workers=1)
        assert run_alone(*words[:3], prefix, *words[4:], env=run.environment).code == 0
    out = run.folder / "out.ndjson"
    done = run_alone("merge", *prefixes, "--ids", run.ids, "-o", out)
    assert done.code == 0, done
    assert [*rows(out)] == names
    assert manifest(out)["include"] == ["threads"]
