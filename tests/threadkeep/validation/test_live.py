"""An export compared with canned servers: changes, deletions, what ends the check, and several keys."""

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canned import HTTP, async_client
from canned_threads import MISSING, ThreadServer, message, page
from exporting import ASSISTANT, Ending, Spoiled, no_wait, silence, threads_of
from strategies import messages, odd_messages
from threadkeep.api.client import PacingOptions
from threadkeep.api.rate_control import Traffic
from threadkeep.api.transport import Transport
from threadkeep.errors import AccessRefused, ApiGone, Interrupted, OutputUnusable, ServerUnreachable
from threadkeep.records.ndjson import encode_message
from threadkeep.validation.findings import Finding, Severity
from threadkeep.validation.live import CheckedExport, LiveOutcome, ThreadToCheck, check_live
from threadkeep.validation.scan import Place

pytestmark = pytest.mark.anyio

Threads = dict[str, list[dict[str, Any]]]


class Check:
    """An export of some threads, written here, and its comparison with servers."""

    def __init__(self, folder: Path, threads: Threads, *, flat: bool = False, end: bytes = b"\n") -> None:
        self.wanted: list[ThreadToCheck] = []
        self.begun: list[Callable[[], Traffic]] = []
        self.through: dict[str, int] = {}  # the threads that were compared, and how many messages they have
        self.notices: list[str] = []
        content, line = b"", 1
        for thread_id, rows in threads.items():
            own = b"".join(encode_message(row, assistant_id=ASSISTANT, flat=flat) + end for row in rows)
            place = Place(line, len(rows), len(content), len(content) + len(own)) if rows else None
            self.wanted.append(ThreadToCheck(thread_id=thread_id, place=place, assistant_id=ASSISTANT))
            content, line = content + own, line + len(rows)
        self.out = folder / "out.ndjson"
        self.out.write_bytes(content)
        self.flat = flat
        self.seed: int | None = None

    async def against(self, *servers: Any, **options: Any) -> LiveOutcome:
        """Compare with a server, or from several keys' points of view."""
        async with contextlib.AsyncExitStack() as opened:
            apis = [await opened.enter_async_context(Transport(async_client(server))) for server in servers]
            pace = PacingOptions(max_retries=2, sleep=no_wait)
            heard: dict[str, Any] = {
                "on_begin": self.begun.append,
                "on_compared": self.through.__setitem__,
                "on_notice": self.notices.append,
            }
            return await check_live(self.export, apis, source=apis[0].address, pace=pace, **heard, **options)

    @property
    def export(self) -> CheckedExport:
        """The export as it is now."""
        return CheckedExport(
            out=self.out, size=self.out.stat().st_size, flat=self.flat, threads=self.wanted, seed=self.seed
        )


def summary(findings: Sequence[Finding]) -> list[tuple[str, str | None, int | None]]:
    """The codes with their messages and lines."""
    return [(one.code, one.message_id or one.thread_id, one.line) for one in findings]


@pytest.mark.parametrize("flat", [False, True])
async def test_what_did_not_change_is_compared_and_nothing_is_said(flat: bool, tmp_path: Path) -> None:
    """Page after page, threads without messages too; there is an event for each."""
    threads = threads_of(a=250, empty=0, b=100, c=1)
    check = Check(tmp_path, threads, flat=flat)
    outcome = await check.against(ThreadServer(threads))
    assert (outcome.findings, outcome.ended_by) == ((), None)
    live = outcome.live
    assert (live.wanted, live.compared, live.new_messages, live.seed, live.ended_by) == (4, 4, 0, None, None)
    assert live.source == "https://api.test/v1"
    assert check.through == {thread_id: len(rows) for thread_id, rows in threads.items()}
    (traffic,) = check.begun
    assert traffic().sent == 3 + 2 + 2 + 1  # an empty page is asked for twice


async def test_every_kind_of_change_is_told_with_its_place(tmp_path: Path) -> None:
    """In the order of the export, whichever thread came first."""
    exported = threads_of(a=4, b=3, c=2, d=3, e=0)
    live = threads_of(a=4, b=3, c=2, d=3, e=0)
    live["thread_a"][1] |= {"metadata": {"seen": "yes"}}
    live["thread_a"][2] |= {"role": "other"}
    live["thread_a"][3] |= {"content": []}
    del live["thread_b"][1]
    live["thread_b"].append(message("thread_b", 9))
    del exported["thread_c"][0]
    live["thread_d"].reverse()
    live["thread_e"].append(message("thread_e", 0))
    outcome = await Check(tmp_path, exported).against(ThreadServer(live))
    assert summary(outcome.findings) == [
        ("changed_metadata", "msg_thread_a_00001", 2),
        ("changed_message", "msg_thread_a_00002", 3),
        ("deleted_message", "msg_thread_a_00003", 4),  # it was emptied: the export has more, and keeps it
        ("deleted_message", "msg_thread_b_00001", 6),
        ("new_message", "msg_thread_b_00009", None),
        ("lost_message", "msg_thread_c_00000", None),
        ("order_mismatch", "msg_thread_d_00000", 9),
        ("new_message", "msg_thread_e_00000", None),
    ]
    paths = ["$.message.metadata", "$.message.role", "$.message.content[0]"]
    assert [one.path for one in outcome.findings[:3]] == paths
    assert {(one.file, one.line is None) for one in outcome.findings} == {("out.ndjson", False), (None, True)}
    assert (outcome.live.compared, outcome.live.new_messages) == (5, 2)


async def test_a_thread_that_is_gone_is_a_note(tmp_path: Path) -> None:
    """With the place of its lines, and it counts as compared; also one that is deleted while it is walked."""
    threads = threads_of(a=250, b=2, c=1, e=0)
    gone = HTTP.Response(404, content=MISSING)
    server = Spoiled({"thread_a": threads["thread_a"]}, lambda _honest: gone, times=9)
    outcome = await Check(tmp_path, threads).against(server)
    assert summary(outcome.findings) == [
        ("deleted_thread", "thread_a", 1),
        ("deleted_thread", "thread_b", 251),
        ("deleted_thread", "thread_c", 253),
        ("deleted_thread", "thread_e", None),
    ]
    assert (outcome.live.compared, outcome.ended_by) == (4, None)


async def test_a_key_that_knows_no_thread_at_all_proves_no_deletion(tmp_path: Path) -> None:
    """It may be another project's: nothing was compared."""
    outcome = await Check(tmp_path, threads_of(a=2, b=1)).against(ThreadServer({}))
    assert summary(outcome.findings) == [("not_compared", "thread_a", 1), ("not_compared", "thread_b", 3)]
    assert "or the key is another project's: No thread found" in outcome.findings[0].message
    assert outcome.live.compared == 0


async def test_a_thread_that_cannot_be_walked_is_a_warning_and_the_others_go_on(tmp_path: Path) -> None:
    """Nothing is called lost of which only a page came. An id that no URL should carry is not asked for."""
    threads = threads_of(a=250, b=5)
    check = Check(tmp_path, threads)
    check.wanted.append(ThreadToCheck(thread_id="../assistants"))
    server = Spoiled(threads, lambda _honest: HTTP.Response(200, content=page([], has_more=True)), times=9)
    outcome = await check.against(server)
    assert summary(outcome.findings) == [("not_compared", "thread_a", 1), ("not_compared", "../assistants", None)]
    assert "no comparison: the page after msg_thread_a_00099 is empty" in outcome.findings[0].message
    assert outcome.live.compared == 1
    assert not [url for url in server.asked if "assistants" in url]
    assert check.through == {"thread_a": 0, "thread_b": 5, "../assistants": 0}


async def test_a_message_that_no_line_could_hold_is_not_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that is nested too deeply: an export could not have it either. The others go on."""
    threads = threads_of(a=1, b=1)
    check = Check(tmp_path, threads)

    def refusing(raw: Mapping[str, Any], **options: Any) -> bytes:
        if raw["thread_id"] == "thread_a":
            raise ValueError("nested too deeply")
        return encode_message(raw, **options)

    monkeypatch.setattr("threadkeep.validation.live.encode_message", refusing)
    outcome = await check.against(ThreadServer(threads))
    assert summary(outcome.findings) == [("not_compared", "thread_a", 1)]
    assert "the message msg_thread_a_00000 cannot be written: nested too deeply" in outcome.findings[0].message


@pytest.mark.parametrize("end", [b"\r\n", b" \n"])
async def test_other_bytes_of_the_same_message_are_no_change(end: bytes, tmp_path: Path) -> None:
    """Other bytes have a finding without the API; so has a byte order mark, a line twice, and one that is no record."""
    threads = threads_of(a=3)
    check = Check(tmp_path, threads, end=end)
    assert (await check.against(ThreadServer(threads))).findings == ()
    *_, last = check.out.read_bytes().splitlines(keepends=True)
    check.out.write_bytes(b"\xef\xbb\xbf" + check.out.read_bytes() + last)
    place = Place(1, 4, 0, check.out.stat().st_size)
    check.wanted[0] = attrs.evolve(check.wanted[0], place=place)
    assert (await check.against(ThreadServer(threads))).findings == ()
    check.out.write_bytes(check.out.read_bytes().replace(b'"msg_thread_a_00001"', b"%-20d" % 1, 1))
    outcome = await check.against(ThreadServer(threads))
    assert summary(outcome.findings) == [("lost_message", "msg_thread_a_00001", None)]


@pytest.mark.parametrize("flat", [False, True])
async def test_a_header_that_says_otherwise_than_the_lines_changes_nothing(flat: bool, tmp_path: Path) -> None:
    """Only the API's own words are compared."""
    threads = threads_of(a=3)
    check = Check(tmp_path, threads, flat=flat)
    check.flat = not flat
    check.wanted = [attrs.evolve(one, assistant_id="asst_other") for one in check.wanted]
    assert (await check.against(ThreadServer(threads))).findings == ()


async def test_the_journals_last_id_tells_what_was_cut_away_from_what_is_new(tmp_path: Path) -> None:
    """The end of a thread's lines is not there, or none of them is."""
    threads = threads_of(a=3, b=2)
    check = Check(tmp_path, {"thread_a": threads["thread_a"][:1], "thread_b": []})
    check.wanted = [attrs.evolve(one, last_id=f"msg_{one.thread_id}_00001") for one in check.wanted]
    outcome = await check.against(ThreadServer(threads))
    assert summary(outcome.findings) == [
        ("lost_message", "msg_thread_a_00001", None),
        ("new_message", "msg_thread_a_00002", None),
        ("lost_message", "msg_thread_b_00000", None),
        ("lost_message", "msg_thread_b_00001", None),
    ]


class AfterAPage(ThreadServer):
    """Does something before the second page of a thread is answered."""

    def __init__(self, threads: Any, act: Any) -> None:
        super().__init__(threads)
        self._act = act

    def spoil(self, request: Any, times: int) -> Any:
        del times
        return self._act() if "after" in request.url.params else None


async def test_an_export_that_was_changed_since_is_refused(tmp_path: Path) -> None:
    """Its lines are not those that were validated."""
    threads = threads_of(a=3)
    check = Check(tmp_path, threads)
    export = attrs.evolve(check.export, size=100)
    with pytest.raises(OutputUnusable, match="was changed after it was validated"):
        await check_live(export, (), source="https://api.test/v1")
    check.out.unlink()
    with pytest.raises(OutputUnusable, match="was changed after it was validated"):
        await check_live(export, (), source="https://api.test/v1")


async def test_an_export_that_is_replaced_meanwhile_is_compared_as_it_was(tmp_path: Path) -> None:
    """Its file stays open."""
    threads, other = threads_of(a=150), threads_of(a=150)
    other["thread_a"][120] |= {"role": "assistant"}
    check = Check(tmp_path, threads)

    def replace() -> None:
        check.out.unlink()
        check.out.write_bytes(b"")

    outcome = await check.against(AfterAPage(other, replace))
    assert summary(outcome.findings) == [("changed_message", "msg_thread_a_00120", 121)]


async def test_an_export_that_is_overwritten_meanwhile_is_refused(tmp_path: Path) -> None:
    """A line that is not the one that was read a moment ago proves nothing."""
    threads, other = threads_of(a=1500), threads_of(a=1500)  # more than a buffer holds
    other["thread_a"][1450] |= {"role": "assistant"}
    check = Check(tmp_path, threads)

    def overwrite() -> None:
        check.out.write_bytes(b"\n" * 500_000)

    with pytest.raises(OutputUnusable, match=r"line \d+ is another one now"):
        await check.against(AfterAPage(other, overwrite))


@given(
    rows=st.lists(messages(thread_id="thread_a", long_texts=False), max_size=4, unique_by=lambda row: row["id"]),
    odd=st.lists(odd_messages(), max_size=4, unique_by=lambda row: row["id"]),
    flat=st.booleans(),
)
@settings(max_examples=50)
def test_no_message_that_the_api_can_give_is_a_false_alarm(
    rows: list[dict[str, Any]], odd: list[dict[str, Any]], flat: bool
) -> None:
    """Whatever it holds, as the API prints it and as the export has it."""
    threads = {"thread_a": rows, "thread_b": [row | {"thread_id": "thread_b"} for row in odd]}

    async def checked(folder: Path) -> LiveOutcome:
        return await Check(folder, threads, flat=flat).against(ThreadServer(threads))

    with tempfile.TemporaryDirectory() as folder:
        outcome = asyncio.run(checked(Path(folder)))
    assert (outcome.findings, outcome.live.compared) == ((), 2)


_EDITS = ("append", "delete", "mark", "reword", "rob")


@given(size=st.integers(0, 8), edits=st.lists(st.tuples(st.sampled_from(_EDITS), st.integers(0, 20)), max_size=8))
@settings(max_examples=50)
def test_any_edits_are_told_as_a_plain_model_tells_them(size: int, edits: list[tuple[str, int]]) -> None:
    """Messages appended, deleted, marked and reworded on the server, and lines that are gone from the export."""
    exported, live = threads_of(a=size)["thread_a"], threads_of(a=size)["thread_a"]
    changed: dict[str, str] = {}
    for number, (edit, place) in enumerate(edits, 50):
        if edit == "append":
            live.append(message("thread_a", number))
        elif edit == "rob" and exported:
            exported.pop(place % len(exported))
        elif edit == "delete" and live:
            live.pop(place % len(live))
        elif edit in ("mark", "reword") and live:
            _change(live[place % len(live)], edit, changed)
    here, there = [row["id"] for row in exported], [row["id"] for row in live]
    last = max((there.index(one) for one in here if one in there), default=-1)
    expected = {(changed[one], one) for one in here if one in there and one in changed}
    expected |= {("deleted_message", one) for one in here if one not in there}
    for place, one in enumerate(there):
        expected |= {("lost_message" if place < last else "new_message", one)} if one not in here else set()

    async def checked(folder: Path) -> LiveOutcome:
        return await Check(folder, {"thread_a": exported}).against(ThreadServer({"thread_a": live}))

    with tempfile.TemporaryDirectory() as folder:
        outcome = asyncio.run(checked(Path(folder)))
    assert {(one.code, one.message_id) for one in outcome.findings} == expected
    assert len(outcome.findings) == len(expected)


def _change(row: dict[str, Any], edit: str, changed: dict[str, str]) -> None:
    """Other words count for more than other metadata."""
    if edit == "mark":
        row["metadata"] = {"seen": "yes"}
        changed.setdefault(row["id"], "changed_metadata")
    else:
        row["role"] = "other"
        changed[row["id"]] = "changed_message"


# --- what ends it


async def test_the_sunset_leaves_what_was_compared(tmp_path: Path) -> None:
    """A thread that is cut off in the middle is not compared: nothing of it is lost."""
    exported, live = threads_of(a=2, b=250, c=1), threads_of(a=3, b=250, c=9)
    server = Ending(live, lambda: HTTP.Response(410, content=b"{}"), count=2)
    check = Check(tmp_path, exported)
    check.seed = 4
    outcome = await check.against(server, concurrency=1)
    assert isinstance(outcome.ended_by, ApiGone)
    assert summary(outcome.findings) == [("new_message", "msg_thread_a_00002", None), ("not_compared", None, None)]
    assert outcome.findings[-1].message.startswith("2 threads were not compared, since the check was ended: ")
    live_said = outcome.live
    assert (live_said.wanted, live_said.compared, live_said.new_messages, live_said.seed) == (3, 1, 1, 4)
    assert live_said.ended_by == str(outcome.ended_by)


async def test_a_server_that_never_answers_ends_it(tmp_path: Path) -> None:
    """It is not asked about every thread."""
    threads = threads_of(**{f"n{number}": 1 for number in range(40)})
    check = Check(tmp_path, threads)
    outcome = await check.against(Ending(threads, silence, count=0), concurrency=2)
    assert isinstance(outcome.ended_by, ServerUnreachable)
    assert (outcome.live.compared, len(outcome.live.left)) == (0, 40)
    assert [(one.code, one.severity) for one in outcome.findings] == [("not_compared", Severity.NOTE)]
    assert len(check.notices) == 1


async def test_who_is_cancelled_keeps_what_was_compared(tmp_path: Path) -> None:
    """As somebody does who has waited long enough."""
    threads = threads_of(a=2, b=250)
    check = Check(tmp_path, threads)
    task = asyncio.current_task()
    assert task is not None

    async def cancel_and_hang() -> None:
        task.cancel()
        await asyncio.Event().wait()

    outcome = await check.against(AfterAPage(threads, cancel_and_hang), concurrency=1)
    task.uncancel()
    assert isinstance(outcome.ended_by, Interrupted)
    assert (outcome.live.compared, outcome.live.ended_by) == (1, "interrupted")
    (one,) = outcome.findings
    assert one.message.startswith("1 thread was not compared, since the check was ended: interrupted. ")


# --- several keys


async def test_a_thread_is_compared_with_the_key_that_knows_it(tmp_path: Path) -> None:
    """Keys may be of different projects. Gone is what no key knows."""
    threads = threads_of(a=5, b=5, c=1)
    mine, other = (ThreadServer({name: threads[name]}) for name in ("thread_a", "thread_b"))
    outcome = await Check(tmp_path, threads).against(mine, other, concurrency=2)
    assert summary(outcome.findings) == [("deleted_thread", "thread_c", 11)]
    assert outcome.live.compared == 3


async def test_a_refused_key_leaves_its_threads_to_the_others(tmp_path: Path) -> None:
    """There is one notice, and each thread is compared once."""
    threads = threads_of(**{f"n{number}": 130 for number in range(9)})
    refused = Ending(threads, lambda: HTTP.Response(401, content=b'{"error": {"message": "No."}}'), count=1)
    check = Check(tmp_path, threads)
    outcome = await check.against(refused, ThreadServer(threads), concurrency=4)
    assert (outcome.findings, outcome.live.compared, outcome.ended_by) == ((), 9, None)
    assert len(check.notices) == 1
    assert len(check.through) == 9


async def test_what_only_a_refused_key_might_know_is_not_called_deleted(tmp_path: Path) -> None:
    """Nobody has answered that it is not there."""
    threads = threads_of(a=1, b=1, theirs=1)
    refused = Ending(threads, lambda: HTTP.Response(401, content=b'{"error": {"message": "No."}}'), count=1)
    other = ThreadServer({name: threads[name] for name in ("thread_a", "thread_b")})
    outcome = await Check(tmp_path, threads).against(refused, other, concurrency=1)
    assert summary(outcome.findings) == [("not_compared", "thread_theirs", 3)]
    assert "no other key knows this, and key 1 was rejected: " in outcome.findings[0].message
    assert outcome.live.compared == 2


async def test_when_every_key_is_refused_the_check_ends(tmp_path: Path) -> None:
    """As with a single one."""
    threads = threads_of(a=5, b=5)
    servers = [Ending(threads, lambda: HTTP.Response(401, content=b"{}"), count=0) for _ in range(2)]
    outcome = await Check(tmp_path, threads).against(*servers, concurrency=2)
    assert isinstance(outcome.ended_by, AccessRefused)
    assert ([(one.code, one.severity) for one in outcome.findings], outcome.live.compared) == (
        [("not_compared", Severity.NOTE)],
        0,
    )
