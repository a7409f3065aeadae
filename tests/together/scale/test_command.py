"""What the command refuses before anything is planned, and what it prints for programs."""

import json

import pytest

from processes import run_alone
from scaling import KEYS, Limited, Run, load


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--refresh"], "neither --fresh nor --refresh"),
        (["--drop", "ids.txt"], "no --drop"),
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
        (run.ids, words[4:], 5, "ids.txt"),
    ):
        done = run_alone(*words[:3], prefix, *more, env=run.environment)
        assert (done.code, said in done.err) == (code, True), done
    done = run_alone(*words[:2], " ", *words[3:], env=run.environment)
    assert (done.code, "ASSISTANT_ID is empty" in done.err) == (2, True), done
    nothing = run_alone("merge", run.prefix + "/", "-o", run.folder / "out.ndjson")
    assert nothing.code == 5


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
    assert printed["next"]["command"].startswith("threadkeep merge")
    assert printed["out"] == run.prefix
