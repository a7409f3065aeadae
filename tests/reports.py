"""Reports to be shown: of nothing, of a complete export, of one with thousands of findings, of one that is hostile."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from threadkeep.html_report.excerpts import excerpts
from threadkeep.html_report.page import render
from threadkeep.records.ndjson import encode_message
from threadkeep.validation.findings import Finding, finding
from threadkeep.validation.report import LineTotals, Live, ValidationReport, collect

__all__ = ["HOSTILE", "REPORTS", "Shown", "line", "page", "report"]

Shown = tuple[ValidationReport, Sequence[bytes]]
"""A report, and the lines of its export."""

HOSTILE = (
    "<script>document.title = 'pwned'; fetch('https://example.com/')</script>",
    "</textarea></title></style></svg><img src=x onerror=\"document.title='pwned'\"><base href=//example.com>",
    "javascript:alert(1) \" onmouseover=alert(1) ' --> ]]>",
    "\u202eelohw si tropxe siht\u202c \u2066isolated\u2069 zero\u200bwidth\ufeff",
    "Z" + "\u0300\u0301\u0315\u0321\u0322\u0330" * 60 + "algo",
    "W" * 100_000,
    "nul \0 bell \a escape \x1b[31m return\r\nline \u2028 \u2029 \x85",
    "👨‍👩‍👧 ❤️‍🔥 🇩🇪",
    "السلام عليكم ورحمة الله وبركاته",
    "half \ud800 a character",
    "{{ 7 * 7 }} {% raw %} &lt;b&gt; &amp;",
    "\n\n many\tlines \n\n",
)


def line(thread_id: str, number: int, text: str, **fields: Any) -> bytes:
    """One line of an export, with its newline."""
    message = {
        "id": f"msg_{thread_id}_{number}",
        "thread_id": thread_id,
        "role": ("user", "assistant")[number % 2],
        "created_at": 1_774_963_800 + number,
        "content": [{"type": "text", "text": {"value": text, "annotations": []}}],
        **fields,
    }
    return encode_message(message, assistant_id="asst_a") + b"\n"


def report(*findings: Finding, out: str = "out.ndjson", most: int = 1_000, **fields: Any) -> ValidationReport:
    """A report of these findings, and of nothing else unless it is given."""
    collected = collect(findings, most)
    given: dict[str, Any] = {
        "totals": LineTotals(threads=0, messages=0, bytes=0),
        "outcomes": None,
        "months": {},
        "sizes": {},
        "refetch": collected.refetch,
        **fields,
    }
    return ValidationReport(
        out=Path(out), findings=collected.listed, counts=collected.counts, severities=collected.severities, **given
    )


def page(shown: Shown) -> str:
    """The page of a report."""
    of, lines = shown
    return render(of, excerpts(of, lines), made_at="2026-11-21 12:00:00 UTC", version="0.1.0")


def _empty() -> Shown:
    return report(), []


def _complete() -> Shown:
    lines = [line(f"thread_{thread}", number, "Is it complete?") for thread in range(3) for number in range(9)]
    place: dict[str, Any] = {"file": "out.ndjson", "line": 5, "thread_id": "thread_0", "message_id": "msg_thread_0_4"}
    note = finding("image_not_downloaded", "the image was not downloaded", path="$.message.content[0]", **place)
    months = {"2024-11": 2_400_000, "2025-02": 1, "2026-03": 1_000_000}
    totals = LineTotals(threads=12_345, messages=3_400_001, bytes=2_345_678_901)
    return report(note, totals=totals, outcomes={"complete": 12_345}, months=months, sizes={9: 3, 800: 1}), lines


def _many() -> Shown:
    threads = [f"thread_{number:02}" for number in range(60)]
    lines = [line(thread, number, "What is this? " * number) for thread in threads for number in range(20)]
    found = [
        finding("text_mismatch", "it is not", file="out.ndjson", line=number, thread_id=threads[(number - 1) // 20])
        for number in range(1, 1_200, 2)
    ]
    found += [finding("lost_thread", "it is not there", thread_id=f"thread_lost_{number}") for number in range(1_500)]
    found += [finding("changed_message", "it is", thread_id="thread_07", message_id="msg_thread_07_15")]
    found += [finding("unreadable_index", "it is cut short", file="out.ndjson.index", line=7)]
    found += [finding("thread_missing", "the API has it not", thread_id="thread_missing")]
    found += [finding("time_goes_back", "it is older", file="out.ndjson", line=21, thread_id="thread_01")]
    outcomes = {"complete": 99_000, "partial": 900, "missing": 90, "dropped": 9, "failed": 1}
    months = {f"{2021 + number // 12}-{number % 12 + 1:02}": number * 1_000 for number in range(60)}
    live = Live(source="https://example.com/v1", wanted=100, compared=42, new_messages=7, seed=4711, ended_by="gone")
    sizes = {number: 5_000 // number for number in range(1, 5_000, 7)}
    return report(*found, outcomes=outcomes, months={"1970-01": 3, **months}, sizes=sizes, live=live), lines


def _hostile() -> Shown:
    out, thread_id = "\u202e<b>/<img src=x>.ndjson", "thread_" + HOSTILE[3] + HOSTILE[1] + "x" * 9_000
    name = Path(out).name
    roles = ("user", HOSTILE[0], HOSTILE[3])
    lines = [line(thread_id, number, text, role=roles[number % 3]) for number, text in enumerate(HOSTILE)]
    lines.append(b'{"thread_id":"\xff\0\xe2\x80\xae <script>alert(1)</script>' + b"\xfe" * 5_000 + b"\n")
    odd = json.loads(line("thread_odd", 0, "its own", created_at=10**30, content=[*_PARTS]))
    lines.append(json.dumps(odd | {"text": "another", "role": None}).encode() + b"\n")
    found = [
        finding("text_mismatch", text, file=name, line=number, path=f"$.{text}", thread_id=thread_id, message_id=text)
        for number, text in enumerate(HOSTILE, 1)
    ]
    found.append(finding("malformed_line", HOSTILE[5], file=name, line=len(HOSTILE) + 1))
    found.append(finding("odd_timestamp", HOSTILE[1], file=name, line=len(HOSTILE) + 2, thread_id="thread_odd"))
    live = Live(source=HOSTILE[1], wanted=1, compared=0, new_messages=0, ended_by=HOSTILE[0])
    dates = {"1970-01": 1, "2106-02": 1}
    sizes = {1: 1, 10**15: 1}
    return report(*found, out=out, months=dates, sizes=sizes, outcomes={}, refetch=HOSTILE, live=live), lines


_PARTS: tuple[dict[str, Any], ...] = (
    {"type": "text", "text": {"value": "its own", "annotations": []}},
    {"type": "image_file", "image_file": {"file_id": HOSTILE[1]}},
    {"type": "image_url", "image_url": {"url": "javascript:alert(1)"}},
    {"type": "refusal", "refusal": HOSTILE[0]},
    {"type": HOSTILE[2]},
    {},
)

REPORTS = {"empty": _empty, "complete": _complete, "many": _many, "hostile": _hostile}
"""Each as a function that makes it."""
