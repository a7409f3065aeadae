"""An export comes to the same over each HTTP library, whatever the server does."""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Literal

import pytest

import small_world
from canned import HTTP
from command import Run
from exporting import ASSISTANT, no_wait
from exports import beside, manifest, rows
from sdkage import HAS_AIOHTTP
from threadkeep.api.client import PacingOptions
from threadkeep.api.endpoints import ApiSource
from threadkeep.api.keys import Key
from threadkeep.api.transport import connect_all
from threadkeep.clock import now
from threadkeep.exporter.job import ExportResult, Job, carry_out
from threadkeep.serialization.thread_ids import ListedId
from threadkeep.storage.paths import Paths
from threadkeep.storage.session import ThreadList
from watched import Watched

LIBRARIES = {HTTP.__name__: 1_000_000, **({"aiohttp": 0} if HAS_AIOHTTP else {})}
"""The number of threads from which on aiohttp is used, by the library that is used then."""

MESSAGES = {"path": "/messages$"}
HTML = {"status": 502, "headers": {"content-type": "text/html"}, "body": "<html>"}

FAULTS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "none": [],
    "no answer, once": [{"match": {**MESSAGES, "nth": 3}, "do": {"drop": "before"}}],
    "no answer, for good": [{"match": {**MESSAGES, "nth": 2, "times": 1000}, "do": {"drop": "before"}}],
    "an answer that breaks off": [{"match": {**MESSAGES, "nth": 2, "times": 2}, "do": {"drop": "mid-body"}}],
    "all of them break off": [{"match": MESSAGES, "do": {"drop": "mid-body"}}],
    "JSON cut short": [{"match": {**MESSAGES, "nth": 4}, "do": {"truncate": 50}}],
    "a busy server": [{"match": {**MESSAGES, "nth": 1, "times": 3}, "do": {"status": 503}}],
    "a gateway's page": [{"match": {**MESSAGES, "nth": 2}, "do": HTML}],
    "a rate limit": [{"match": {**MESSAGES, "nth": 2}, "do": {"status": 429, "headers": {"retry-after-ms": "1"}}}],
    "a rejected key": [{"match": {**MESSAGES, "nth": 3, "times": 1000}, "do": {"status": 401}}],
    "a page that is repeated": [{"match": {**MESSAGES, "nth": 2}, "do": {"rewrite": "repeat-page"}}],
    "a page that lies": [{"match": {**MESSAGES, "nth": 3, "times": 9}, "do": {"rewrite": "lie-has-more"}}],
    "a file that breaks off": [{"match": {"path": "/content$", "nth": 1}, "do": {"drop": "mid-body"}}],
}
CASES: list[tuple[str, Literal["gone", "not-found"] | None]] = [
    *((name, None) for name in FAULTS),
    ("none", "gone"),
    ("none", "not-found"),
]


@pytest.fixture
def fake() -> Watched:
    """A world of threads of one page and of more, and a file."""
    return Watched.holding(small_world.world().snapshot())


def export(library: str, address: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ExportResult:
    """One thread at a time, so that the requests have an order, and without waiting."""
    monkeypatch.setattr("threadkeep.exporter.job._MANY_THREADS", LIBRARIES[library])

    async def run() -> ExportResult:
        (api,) = connect_all(ApiSource(base_url=address, keys=(Key("sk-test"),)))
        job = Job(
            wanted=ThreadList(ids=map(ListedId, count(1), small_world.IDS)),
            paths=Paths(folder / "out.ndjson"),
            assistant_id=ASSISTANT,
            concurrency=1,
            **small_world.OPTIONS,
            pace=PacingOptions(max_retries=2, sleep=no_wait, jitter=lambda: 0.0),
        )
        async with api:
            result = await carry_out(job, [api], address, now=now)
            assert api.library == library
        return result

    return asyncio.run(run())


@pytest.mark.parametrize(("name", "sunset"), CASES)
def test_an_export_is_the_same(
    name: str,
    sunset: Literal["gone", "not-found"] | None,
    fake: Watched,
    base_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its bytes, what ended it, and how often it asked."""
    world, found = fake.snapshot(), []
    for library in LIBRARIES:
        fake.reset()
        fake.load(world)
        fake.faults = FAULTS[name]
        if sunset is not None:
            fake.sunset.after_requests(4, style=sunset)
        folder = tmp_path / library
        folder.mkdir()
        result = export(library, base_url, folder, monkeypatch)
        out = folder / "out.ndjson"
        files = [beside(out, suffix) for suffix in ("", ".partial")]
        content = [path.read_bytes() if path.exists() else b"" for path in files]
        table = rows(out) if out.exists() else {}
        without_reasons = {name: {**row, "reason": None} for name, row in table.items()}  # each library has its own
        found.append((content, without_reasons, type(result.ended_by), result.outcomes, len(fake.requests)))
        assert not out.exists() or library in manifest(out)["versions"]
    assert found == found[:1] * len(LIBRARIES)


def test_what_asks_is_said_where_it_is_wanted(
    fake: Watched, base_url: str, out: Path, ids: Path, threadkeep: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --verbose, on standard error, whatever else is printed; and in the manifest in any case."""
    del fake, base_url
    for library, most in LIBRARIES.items():
        monkeypatch.setattr("threadkeep.exporter.job._MANY_THREADS", most)
        for more in ((), ("--quiet",), ("--json",)):
            done = threadkeep("export", ids, ASSISTANT, out, "--fresh", "--verbose", *more)
            assert done.err.startswith("threadkeep: asking with openai ")
            assert f" over {library} " in done.err
            assert library in manifest(out)["versions"]
        assert "asking with" not in threadkeep("export", ids, ASSISTANT, out, "--fresh").err
