"""Hold the files of an export against each other: OUT, index, manifest, sidecars, partial file and downloads.

Everything that is wrong is a finding (`threadkeep.validation.findings` has the table); nothing raises, and one finding
does not hide the next. Memory does not grow with the findings.
"""

import contextlib
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

import msgspec

from threadkeep.errors import OutputUnusable
from threadkeep.records.authors import words_about
from threadkeep.serialization.json_diff import differences
from threadkeep.serialization.lossless_json import loads, text_or_none
from threadkeep.serialization.thread_ids import is_thread_id, kind_of_id
from threadkeep.storage.file_set import FileSet
from threadkeep.storage.index import (
    AUTO,
    DownloadOutcome,
    DownloadRow,
    IndexHeader,
    IndexRow,
    Outcome,
    decode_download,
    decode_header,
    decode_row,
)
from threadkeep.storage.lines import digest_of, lines_in, size_of
from threadkeep.storage.manifest import FileClaim, Manifest, ThreadDigest, Totals
from threadkeep.storage.private_files import open_regular
from threadkeep.validation.findings import Finding, Severity, finding
from threadkeep.validation.line_check import NO_ID, OTHER_ASSISTANTS
from threadkeep.validation.scan import MessageLines, ThreadFile

__all__ = ["ExportCheck"]

_OF_HEADER = ("source", "assistant_id", "flat", "include")
_NOT_WANTED = "the list of ids does not name the thread"


class ExportCheck:
    """One check of an export, made ``now``, in seconds since the epoch; ``ids`` are the threads that were wanted.

    Attributes:
        header: of the index, or else what the manifest has of it; None without both.
        out: where each thread is in OUT.
        messages: what was read of its lines.
        outcomes: how many threads have each outcome, by the index.
        empty: how many complete threads have no lines.
        is_proven: whether the index is as the manifest says, and every row of it was read.
    """

    def __init__(self, files: FileSet, ids: Set[str] | None, now: int) -> None:
        self._set = files
        self._names = {name: path.name for name, path in files.paths.written.items()}
        self._ids = ids
        self._missed = dict.fromkeys(ids or ())
        self._digest = ThreadDigest()
        self._messages = 0
        self._is_readable = True
        self._claims: dict[str, FileClaim] = {}
        self._saved = set[str]()
        self._downloads: Counter[str] | None = None
        self._known_files = set[str]()
        self._to_download = set[str]()
        self.without_files: list[str] = []  # the complete threads that refer to files which are to be downloaded again
        self.outcomes = Counter(dict.fromkeys(map(str, Outcome), 0))
        self.empty = 0
        self.is_proven = False
        self.header = _header(files)
        # Filled by what is read of the downloads before OUT is.
        self.messages = MessageLines(
            self._names["out"],
            now=now,
            saved=self._saved,
            assistant_id=NO_ID if self.header is None or self.header.assistant_id == AUTO else self.header.assistant_id,
            is_flat=None if self.header is None else self.header.flat,
        )
        self.out = ThreadFile(self._names["out"], files.files.get("out"), self.messages, has_index=files.has_index)
        self._others = {
            name: ThreadFile(self._names[name], files.files.get(name), lost=lost)
            for name, lost in (("threads", None), ("runs", None), ("partial", "lost_partial"))
        }

    def findings(self) -> Iterator[Finding]:
        """Yield all findings."""
        yield from self._of_downloads()
        for number, line in self._hashed("index"):
            yield from self._of_index_line(number, line)
        for file in (self.out, *(self._others.values() if self._set.has_index else ())):
            yield from file.finish()
        if self.messages.others and (self.header is None or self.header.assistant_id != AUTO):
            words = words_about(self.messages.others, self.messages.messages)
            yield finding(OTHER_ASSISTANTS, words, file=self.out.name, path="$.message.assistant_id")
        if suspicions := self.messages.ids.repeated():
            yield from self._repeated(suspicions)
        yield from self._of_manifest()
        places = {} if self._set.has_index else self.out.places
        for thread_id in (thread_id for thread_id in self._missed if thread_id not in places):
            if is_thread_id(thread_id):
                yield finding(
                    "not_exported", "the list names the thread, and the export does not have it", thread_id=thread_id
                )
            else:
                kind = kind_of_id(thread_id)
                of = "" if kind is None else f", {kind}"
                shown = "a key" if kind == "a key" else f"the entry {thread_id[:80]!r}{of}"
                yield finding("malformed_id", f"the list has {shown}")
        for thread_id, place in places.items():
            if self._ids is not None and thread_id not in self._ids:
                yield finding("not_wanted", _NOT_WANTED, file=self.out.name, line=place.line, thread_id=thread_id)

    def _hashed(self, name: str) -> Iterator[tuple[int, bytes]]:
        """The numbered lines of a file, if it is there, whose digest is that of no row."""
        if (file := self._set.files.get(name)) is not None:
            digest = hashlib.sha256()
            for number, line in enumerate(lines_in(file, self._names[name]), 1):
                digest.update(line)
                yield number, line
            self._claims[name] = FileClaim(size_of(file), digest.hexdigest())

    # --- the index

    def _of_index_line(self, number: int, line: bytes) -> Iterator[Finding]:
        where: dict[str, Any] = {"file": self._names["index"], "line": number}
        try:
            if number == 1:
                decode_header(line)
                return
            row = decode_row(line)
        except ValueError as error:
            self._is_readable = False
            yield finding("unreadable_index", f"the line cannot be read: {error}", **where)
            return
        if not line.endswith(b"\n"):
            yield finding("unreadable_index", "the last line is cut short", **where)
        yield from self._of_row(row, {**where, "thread_id": row.thread_id})

    def _of_row(self, row: IndexRow, where: dict[str, Any]) -> Iterator[Finding]:
        is_complete = row.outcome is Outcome.COMPLETE
        self._digest.add(row)
        self.outcomes[row.outcome] += 1
        if not is_complete and row.outcome is not Outcome.DROPPED:
            yield finding(f"thread_{row.outcome}", row.reason or f"the thread is {row.outcome}", **where)
        self._missed.pop(row.thread_id, None)
        if is_complete:
            self._messages += row.messages or 0
            self.empty += not row.messages
            if self._ids is not None and row.thread_id not in self._ids:
                yield finding("not_wanted", _NOT_WANTED, **where)
        if self.header is not None and self.header.assistant_id not in (AUTO, row.assistant_id):
            what = f"the row is of assistant {row.assistant_id}, and the export of {self.header.assistant_id}"
            yield finding("index_mismatch", what, path="$.assistant_id", **where)
        yield from self._of_spans(row, where)
        if self._downloads is not None and is_complete:
            yield from self._of_files(row)

    def _of_files(self, row: IndexRow) -> Iterator[Finding]:
        for file_id in row.files:
            if file_id not in self._known_files:
                self._known_files.add(file_id)
                self._to_download.add(file_id)
                file = f"{self._set.paths.files.name}/{file_id}"
                yield finding("not_exported", f"nothing is known of the file {file_id}", file=file)
        if not self._to_download.isdisjoint(row.files):
            self.without_files.append(row.thread_id)

    def _of_spans(self, row: IndexRow, where: dict[str, Any]) -> Iterator[Finding]:
        is_complete = row.outcome is Outcome.COMPLETE
        if row.span is not None:
            yield from self.out.claim(row, row.span, where)
        for kind in self.header.include if self.header is not None and is_complete else ():
            if kind not in row.sidecars:
                what = f"the thread is complete, and nothing of it is in {self._names[kind]}"
                yield finding("lost_thread", what, file=self._names[kind], thread_id=row.thread_id)
        for name, span in row.sidecars.items():
            if name in self._others:
                yield from self._others[name].claim(row, span, where)
        if row.partial is not None and row.partial.bytes:
            partial = self._others["partial"]
            before = partial.lines
            yield from partial.claim(row, row.partial, where)
            if is_complete:
                what = "the partial file has messages of the thread, which is complete, that are not in the export"
                yield finding("only_in_partial", what, file=partial.name, line=before + 1, thread_id=row.thread_id)

    # --- OUT

    def _repeated(self, suspicions: Set[int]) -> Iterator[Finding]:
        """Read the lines once more, and compare the ids themselves."""
        seen: dict[str, tuple[str | None, int]] = {}
        for number, line in enumerate(self.out.lines_in(0, self.out.size), 1):
            try:
                value = loads(line)
                thread_id, message_id = text_or_none(value["thread_id"]), value["message_id"]
            except (ValueError, LookupError, TypeError):
                continue
            if isinstance(message_id, str) and hash(message_id) in suspicions:
                if message_id in seen:
                    yield self._of_repeated(message_id, seen[message_id], (thread_id, number))
                seen.setdefault(message_id, (thread_id, number))

    def _of_repeated(self, message_id: str, one: tuple[str | None, int], other: tuple[str | None, int]) -> Finding:
        """Blame the thread that is damaged; where neither is, the API gave the message twice."""
        if self._is_intact(other[0]) and not self._is_intact(one[0]):
            one, other = other, one
        (first, line), (second, number) = one, other
        what = f"the message is in line {line} too, as one of {'this thread' if first == second else first}"
        where = {"file": self.out.name, "line": number, "thread_id": second, "message_id": message_id}
        remedy, severity = None, None
        if first != second and self._is_intact(first) and self._is_intact(second):
            remedy, severity = "Both threads are as the API gave them: there is nothing to do.", Severity.NOTE
        return finding("duplicate_message", what, remedy, severity=severity, path="$.message_id", **where)

    def _is_intact(self, thread_id: str | None) -> bool:
        return self._set.has_index and thread_id in self.out.places and thread_id not in self.out.damaged

    # --- downloads

    def _of_downloads(self) -> Iterator[Finding]:
        counts = Counter(dict.fromkeys(map(str, DownloadOutcome), 0))
        for number, line in self._hashed("downloads"):
            try:
                row = decode_download(line)
            except ValueError as error:
                what = f"the line cannot be read: {error}"
                yield finding("unreadable_index", what, file=self._names["downloads"], line=number)
                continue
            counts[row.outcome] += 1
            self._known_files.add(row.file_id)
            if row.outcome is DownloadOutcome.SAVED:
                self._saved.add(row.file_id)
            for one in self._of_download(row):
                self._to_download.add(row.file_id)
                yield one
        self._downloads = counts if "downloads" in self._set.files else None

    def _of_download(self, row: DownloadRow) -> Iterator[Finding]:
        folder = self._set.paths.files
        name = f"{folder.name}/{row.file_id}"
        if row.outcome is DownloadOutcome.FAILED:
            yield finding("file_failed", f"the file {row.file_id} could not be downloaded ({row.reason})", file=name)
        if row.outcome is DownloadOutcome.UNFINISHED:
            yield finding("not_exported", f"the file {row.file_id} was not asked for yet", file=name)
        if row.name is None:
            return
        path = folder / (Path(row.name).name or "-")  # a list is only a file: it leads nowhere else
        name, found = f"{folder.name}/{path.name}", None
        with contextlib.suppress(OSError, OutputUnusable), open_regular(path) as file:
            size = size_of(file)
            found = (size, digest_of(file, 0, size) if size == row.bytes else None)
        if found is None:
            yield finding("lost_file", f"the file {row.file_id} is not there", file=name)
        elif found[0] != row.bytes:
            what = f"the file has {found[0]:,} bytes, and {row.bytes} were downloaded"
            yield finding("file_mismatch", what, file=name)
        elif found[1] != row.sha256:
            yield finding("file_mismatch", "the file does not hold the bytes that were downloaded", file=name)

    # --- the manifest

    def _of_manifest(self) -> Iterator[Finding]:
        name, manifest, fault = self._set.paths.manifest.name, self._set.manifest, self._set.manifest_fault
        has_manifest = manifest is not None or fault is not None
        if fault is not None:
            yield finding("unreadable_manifest", fault, file=name)
        if not self._set.has_index and has_manifest:
            yield finding("lost_index", "there is a manifest and no index", file=self._names["index"])
        elif not self._set.has_index:
            yield finding("unvouched", "there is no index: nothing proves that the lines are all")
        elif not has_manifest:
            yield finding("lost_manifest", "there is an index and no manifest", file=name)
        if manifest is not None:
            for lost in (self._names.get(one, one) for one in manifest.files if one not in ("index", *self._set.files)):
                yield finding("lost_file", f"{lost} is not there", file=lost)
            claimed = msgspec.to_builtins(manifest)
            found = {**claimed, **msgspec.to_builtins(self._expected(manifest))}
            for path in differences(claimed, found):
                self.is_proven &= not path.startswith("$.files.index")
                (*_, of, key), now = path.split("."), _value(found, path)
                has = f"has {now} bytes" if key == "bytes" else f"has {key} {now}" if of in self._names else f"is {now}"
                what = f"{self._names.get(of, key)} {has}, and the manifest says {_value(claimed, path)}"
                yield finding("manifest_mismatch", what, file=name, path=path)

    def _expected(self, manifest: Manifest) -> dict[str, Any]:
        """The claims that the manifest must have, as far as they can be recomputed."""
        claims = {**manifest.files, **self._claims}
        for name, file in self._set.files.items():
            size = size_of(file)
            # If the size is right, the digests of its rows say all.
            is_vouched = self._set.has_index and name in claims and claims[name].bytes == size
            if name not in self._claims and not is_vouched:
                claims[name] = FileClaim(size, digest_of(file, 0, size) or "")
        if self.header is None or not self._set.has_index or not self._is_readable:
            return {"files": claims}
        self.is_proven = True
        return {
            **{name: getattr(self.header, name) for name in _OF_HEADER},
            "totals": Totals(
                threads=self.outcomes.total(),
                messages=self._messages,
                partial_messages=self._others["partial"].lines,
            ),
            "outcomes": self.outcomes,
            "downloads": self._downloads,
            "digest": self._digest.value,
            "files": claims,
        }


def _value(value: Any, path: str) -> str:
    for key in re.findall(r"\w+", path):
        value = value.get(key) if isinstance(value, dict) else value
    return "nothing" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _header(files: FileSet) -> IndexHeader | None:
    index, manifest = files.files.get("index"), files.manifest
    with contextlib.suppress(ValueError):
        return decode_header(next(lines_in(index, files.paths.index.name), b"") if index is not None else b"")
    with contextlib.suppress(ValueError):
        return msgspec.convert({name: getattr(manifest, name, None) for name in _OF_HEADER}, IndexHeader)
    return None
