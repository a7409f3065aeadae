"""Type checkers take a program as a user writes it, and report each misspelt name and wrong type in another."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [os.fspath(ROOT / "src"), os.fspath(ROOT / "fakeserver" / "src")]

USED = """
from datetime import UTC, datetime
from pathlib import Path

from fake_assistants import FakeAssistants, FakeAssistantsServer, Requests, Server, demo_world
from openai import AsyncOpenAI, OpenAI

import threadkeep
from threadkeep import (
    ApiError, Conversation, Event, ExportResult, History, MessageRecord, Severity, TextPart, ThreadEnded,
    ValidationReport, aexport, apush, export, iter_messages, open_history, push, read, status, trim, validate,
    validate_live, write,
)


def show(event: Event) -> None:
    if isinstance(event, ThreadEnded):
        print(event.thread_id, event.outcome, event.messages)


def save(folder: Path, fake: FakeAssistants) -> ValidationReport:
    out = folder / "out.ndjson"
    fake.load(demo_world(2, 2))
    sent: Requests = fake.requests.to("GET", "/threads/*/messages")
    print(len(sent))
    result: ExportResult = export(
        folder / "ids.csv", "auto", out, column="id", limit=3, done=["thread_1"], drop="drop.txt", shard=(0, 2),
        include=["threads"], on_event=show,
    )
    if result.manifest is not None and not result.is_complete:
        print(result.manifest.totals.messages, [row.reason for row in result.problems()], result.ended_by)
    state = status(out)
    print(state.store and state.store.progress.complete, write(out, on_notice=print).is_complete)
    with read(out) as exported:
        texts: list[str] = [record.text for record in exported]
        for thread in exported.threads():
            newest: MessageRecord | None = next(iter(thread.messages), None)
            print(thread.runs, newest and newest.file_ids, newest and newest.annotations, texts)
    report = validate(out, ids=folder / "ids.csv", column="id", now=datetime.now(UTC))
    print([finding.line for finding in report if finding.severity is Severity.ERROR])
    return validate_live(out, ids=["thread_1"], sample=1, base_url="http://localhost/v1")


async def carry_on(client: AsyncOpenAI, out: Path) -> str:
    await aexport(["thread_1"], "asst_1", out, client=client)
    pushed = await apush(out, client=client, citations="strip", target="foundry")
    history: History = open_history("chat.json")
    reply = await Conversation(client, history, model="gpt-4o").asay("Hello")
    print(pushed.losses, push(out, dry_run=True).plan.items, trim(await history.get_items(), 100, model="gpt-4o"))
    return reply.text


def test_it(fake_assistants: FakeAssistants, fake_assistants_server: FakeAssistantsServer) -> None:
    with fake_assistants.serve() as server:
        mine: Server = server
    assert mine.port and fake_assistants_server.fake.requests == []


def walk(client: OpenAI) -> list[str]:
    try:
        records = list(iter_messages(client, "thread_1", assistant_id=None))
    except ApiError as error:
        return [str(error), threadkeep.__version__]
    return [part.value for record in records for part in record.parts if isinstance(part, TextPart)]
"""

# Each line that ends in "# wrong" is a mistake, and no other line.
MISUSED = """
from pathlib import Path

import fake_assistants
import threadkeep
from fake_assistants import FakeAssistant  # wrong
from threadkeep import exprot  # wrong
from threadkeep import convert, export, open_history, push, read, status, validate, validate_live, write
from threadkeep.history import open_histori  # wrong

out = Path("out.ndjson")
ids = ["thread_1"]
threadkeep.exprot  # wrong
fake_assistants.demo_wrold  # wrong
export(ids, "asst_1", out, concurency=3)  # wrong
export(ids, "asst_1", out, concurrency="3")  # wrong
export(ids, out, "asst_1")  # wrong
export(ids, "asst_1", out, on_event=3)  # wrong
export(ids, "asst_1", out, shard="0/2")  # wrong
export(ids, "asst_1", out).is_compelte  # wrong
export(ids, "asst_1", out, include="threads")  # wrong
export(ids, "asst_1", out, include=["thread"])  # wrong
convert(out, to="chatt", target="chat.jsonl")  # wrong
push(out, to="conversation")  # wrong
push(out, citations="stripped")  # wrong
read(3)  # wrong
status(out).is_compelte  # wrong
validate(out, id=ids)  # wrong
validate(out, ids=3)  # wrong
validate(ids)  # wrong
validate_live(out, sample="3")  # wrong
write(out, on_notcie=print)  # wrong
open_history(3)  # wrong
threadkeep.MessageRecord(thread_id="thread_1")  # wrong
for record in read(out):
    print(record.file_ids, record.file_id)  # wrong
"""


def mypy(program: Path) -> set[int]:
    """Return the lines with errors, by mypy."""
    found = re.findall(rf"^{re.escape(program.name)}:(\d+): error", printed_by_mypy(program), re.MULTILINE)
    return {int(line) for line in found}


def printed_by_mypy(*programs: Path) -> str:
    """Return what mypy prints about programs that are in one folder."""
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--cache-dir",
        os.fspath(ROOT / ".mypy_cache" / "user"),
        *(program.name for program in programs),
    ]
    environment = {**os.environ, "MYPYPATH": os.pathsep.join(SOURCES)}
    done = subprocess.run(command, cwd=programs[0].parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert "Found" in done.stdout or "Success" in done.stdout, done.stdout + done.stderr
    return done.stdout


def pyright(program: Path) -> set[int]:
    """Return the lines with errors, by pyright."""
    settings = {"include": [program.name], "extraPaths": SOURCES, "reportUnusedExpression": False}
    (program.parent / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run(command, cwd=program.parent, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    report = json.loads(done.stdout[done.stdout.index("{") :])
    assert report["summary"]["filesAnalyzed"] == 1
    found = [one for one in report["generalDiagnostics"] if one["severity"] == "error"]
    return {one["range"]["start"]["line"] + 1 for one in found}


@pytest.mark.parametrize("checked", [mypy, pyright])
@pytest.mark.parametrize("text", [USED, MISUSED], ids=["used", "misused"])
def test_checkers_report_the_mistakes_and_nothing_else(
    text: str, checked: Callable[[Path], set[int]], tmp_path: Path
) -> None:
    """Of names at the root, of keywords, of attributes and of types."""
    program = tmp_path / "program.py"
    program.write_text(text)
    wrong = {number for number, line in enumerate(text.splitlines(), 1) if line.endswith("# wrong")}
    assert checked(program) == wrong


def test_the_examples_of_the_pages_can_be_copied_into_typed_code(tmp_path: Path) -> None:
    """Each block as it stands, in a file of its own."""
    programs = []
    for page in ("library", "history"):
        text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
        for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)):
            programs.append(tmp_path / f"{page}_{number}.py")
            programs[-1].write_text(block, encoding="utf-8")
    assert printed_by_mypy(*programs).startswith("Success"), printed_by_mypy(*programs)
