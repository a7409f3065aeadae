"""An export lives through runs, kills, sunsets, damage and a world that changes: nothing that it held is lost."""

import contextlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import threadkeep
from canned import HTTP
from canned_threads import NO_MESSAGE, ThreadServer, message, page
from exporting import Export, cut_off_at_commit
from kills import killed_at
from threadkeep.errors import MalformedLine, OutputUnusable
from threadkeep.exporter.events import ThreadEnded
from threadkeep.records.ndjson import decode
from threadkeep.storage.file_set import open_file_set
from threadkeep.storage.index import Outcome, decode_row
from threadkeep.storage.paths import new

PAGE = 2  # messages on one page
NAMES = [f"thread_{letter}" for letter in "abcde"]
LISTS = st.one_of(
    st.permutations([*NAMES, "thread_never"]), st.lists(st.sampled_from([*NAMES, "thread_never", "no id"]), max_size=4)
)
MANY = 10**6
DAMAGED = b"dearth"  # in the lines of a page that has changed

ENDS = st.one_of(
    st.just(("by itself", MANY)),
    st.just(("by itself", MANY)),
    st.tuples(st.just("cut"), st.integers(0, 12)),
    st.tuples(st.just("sunset"), st.integers(0, 12)),
    st.tuples(st.just("kill"), st.integers(1, 40)),
)
"""How a run ends: by itself, at a commit, after so many answers, or killed before a change of the disk."""

CHANGES = st.sampled_from(["message comes", "message comes", "message goes", "emptied", "changed", "thread goes"])


class World(ThreadServer):
    """Threads with messages, and a run for each that has a step for each message."""

    def __init__(self, threads: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        super().__init__(threads)
        self.answers = MANY

    def spoil(self, request: Any, times: int) -> Any:
        del times
        if len(self.asked) > self.answers:
            return HTTP.Response(410)
        name, *rest = str(request.url.path).split("/")[3:]
        rows = self.threads.get(name)
        after = request.url.params.get("after")
        if rows is not None and after not in [None, *(row["id"] for row in rows)]:
            return HTTP.Response(404, content=NO_MESSAGE)
        if rows is None or rest[:1] != ["runs"]:
            return None
        run = {"id": f"run_{name}", "thread_id": name}
        steps = [{"id": f"step_{row['id']}", "thread_id": name, "run_id": run["id"]} for row in rows]
        return HTTP.Response(200, content=page(steps if rest[1:] else [run], has_more=False))


def readable(content: bytes) -> Iterator[tuple[str, str]]:
    """The messages of the lines that can be read."""
    for line in content.split(b"\n"):
        with contextlib.suppress(MalformedLine):
            record = decode(line)
            yield record.thread_id, record.message_id


class Exports(RuleBasedStateMachine):
    """One export, and all that its world ever was."""

    @initialize(flat=st.booleans(), include=st.sampled_from([(), ("runs",)]), concurrency=st.sampled_from([1, 3]))
    def begin(self, flat: bool, include: tuple[str, ...], concurrency: int) -> None:
        """With a world of small threads."""
        self.patched = pytest.MonkeyPatch()
        for module in ("client", "pagination"):
            self.patched.setattr(f"threadkeep.api.{module}.LIMIT", PAGE)
        self.patched.setattr("os.fsync", lambda _number: None)
        self.folder = Path(tempfile.mkdtemp())
        self.export = Export(self.folder)
        self.options = {"flat": flat, "include": include, "concurrency": concurrency}
        self.flat = flat
        self.world = {name: [message(name, row) for row in range(size)] for size, name in enumerate(NAMES)}
        self.born = len(NAMES)
        self.served: dict[str, list[dict[str, Any]]] = {}
        self.is_damaged = self.is_page_damaged = False
        self.keep_in_mind()

    def teardown(self) -> None:
        """Leave nothing behind."""
        if hasattr(self, "patched"):
            self.patched.undo()
            shutil.rmtree(self.folder)

    # --- what is there

    def held(self) -> set[tuple[str, str]]:
        """The messages that can be read somewhere: in the files, in those that are kept, in the working store."""
        found = set[tuple[str, str]]()
        for path in self.folder.iterdir():
            if path.name.endswith((".ndjson", ".partial")):
                found.update(readable(path.read_bytes()))
        is_written = new(self.export.paths.manifest).exists()  # and the store will be deleted
        for path in self.folder.glob("*.store") if not is_written else ():
            with contextlib.closing(sqlite3.connect(path)) as store:
                for query in ("SELECT lines FROM pages WHERE kind='messages'", "SELECT line FROM salvaged"):
                    for (lines,) in store.execute(query):
                        if DAMAGED not in lines:
                            found.update(self.stored(lines))
        return found

    def stored(self, lines: bytes) -> Iterator[tuple[str, str]]:
        """The messages of stored lines, which may have no assistant."""
        for line in lines.split(b"\n")[:-1]:
            row = json.loads(line)
            yield row["thread_id"], row["message_id"]

    @contextlib.contextmanager
    def store(self) -> Iterator[sqlite3.Connection | None]:
        """The working store, if there is one that can be read."""
        if not self.export.paths.store.exists():
            yield None
            return
        with contextlib.closing(sqlite3.connect(self.export.paths.store)) as store:
            yield store

    def order(self) -> list[str]:
        """The ids that are wanted, in order: those of the index, and then those of the working store."""
        indexed = list[str]()
        with open_file_set(self.export.paths) as files:  # while files are exchanged, the new ones count
            for line in files.files["index"] if files.has_index else ():
                with contextlib.suppress(ValueError):
                    indexed.append(decode_row(line).thread_id)
        with self.store() as store:
            if store is None:
                return indexed
            stored = [name for (name,) in store.execute("SELECT thread_id FROM wanted ORDER BY seq")]
            if store.execute("SELECT 1 FROM meta WHERE name='fresh' AND value='true'").fetchone():
                # Begun anew: the index counts no more, unless nothing has been fetched since.
                return stored if store.execute("SELECT 1 FROM fetched").fetchone() else indexed
        return list(dict.fromkeys(indexed + stored))

    def runs(self) -> set[str]:
        """The steps that can be read."""
        found = set[str]()
        for path in self.folder.glob("*.runs"):
            for line in path.read_bytes().split(b"\n"):
                with contextlib.suppress(ValueError):
                    found |= {step["id"] for step in json.loads(line)["steps"]}
        return found

    def keep_in_mind(self) -> None:
        """What the next step must not lose."""
        self.was_held, self.was_order, self.was_runs = self.held(), self.order(), self.runs()

    # --- runs

    def serving(self, how: str, number: int) -> World:
        """The server as it is now."""
        for rows in self.world.values():
            for row in rows:
                versions = self.served.setdefault(row["id"], [])
                versions += [] if row in versions else [row]
        server = World(self.world)
        server.answers = number if how == "sunset" else MANY
        return server

    @rule(ids=LISTS, end=ENDS, refresh=st.booleans())
    def fetch_all(self, ids: list[str], end: tuple[str, int], refresh: bool) -> None:
        """Export threads, or ask for them again."""
        self.fetch(ids, end, refresh, None, [])

    @rule(
        ids=LISTS,
        end=ENDS,
        refresh=st.booleans(),
        limit=st.one_of(st.none(), st.integers(0, 3)),
        drop=st.lists(st.sampled_from(NAMES), max_size=1),
    )
    def fetch(self, ids: list[str], end: tuple[str, int], refresh: bool, limit: int | None, drop: list[str]) -> None:
        """Do the same with a limit, and forget some."""
        how, number = end
        server = self.serving(how, number)
        arguments: dict[str, Any] = {**self.options, "refresh": refresh, "limit": limit, "drop": drop}
        self.export.events.clear()
        if how == "kill" and killed_at(number, lambda: self.export.run_alone(ids, server, **arguments)):
            self.check()
            return
        if how == "kill":  # it came to its end before
            self.check()
            return
        with cut_off_at_commit(number if how == "cut" else MANY):
            is_planned = self.ran(ids, server, **arguments)
        if not is_planned:
            self.check()
            return
        self.check_wanted(ids, limit, drop)
        if self.export.ended_by is None or how == "sunset":
            self.check_written()
        self.check()

    def ran(self, ids: list[str], server: World, **arguments: Any) -> bool:
        """Run, and return whether the run was planned before it was cut off."""
        try:
            self.export.run_alone(ids, server, **arguments)
        except OutputUnusable:
            return False
        return True

    @rule()
    def write(self) -> None:
        """Write what a run that was cut off has left."""
        if not self.export.paths.store.exists() and not self.export.paths.index.exists():
            with pytest.raises(OutputUnusable, match="nothing to write"):
                self.export.write()
        else:
            self.export.write()
            self.check_written(fetched=False)
        self.check()

    @rule(ids=LISTS, end=ENDS.filter(lambda end: end[0] != "kill"))
    def begin_anew(self, ids: list[str], end: tuple[str, int]) -> None:
        """And keep all that is there."""
        how, number = end
        server = self.serving(how, number)
        with cut_off_at_commit(number if how == "cut" else MANY), contextlib.suppress(OutputUnusable):
            self.export.run_alone(ids, server, fresh=True, **self.options)
        assert self.held() >= self.was_held
        assert self.runs() >= self.was_runs
        self.keep_in_mind()

    def check_wanted(self, ids: list[str], limit: int | None, drop: list[str]) -> None:
        """Every id of the list is wanted from now on, until it is complete or dropped."""
        listed = [name for name in dict.fromkeys(ids) if name.startswith("thread")][:limit]
        assert {*listed} <= {*self.order()} or not self.export.paths.index.exists()
        if self.export.ended_by is None and not self.export.paths.store.exists() and self.export.paths.index.exists():
            dropped = {name for name in drop if name in self.export.outcomes}
            assert {self.export.outcomes[name] for name in dropped} <= {Outcome.DROPPED, Outcome.COMPLETE}

    def check_written(self, *, fetched: bool = True) -> None:
        """What the files say is so, and there is nothing else."""
        paths = self.export.paths
        assert not paths.store.exists()
        assert not list(self.folder.glob("*.new"))
        self.is_damaged = False
        if not paths.index.exists():
            return
        out, partial = self.export.messages() if not self.flat else {}, self.export.messages(paths.partial)
        with threadkeep.read(paths.out) as export:
            records = [
                record for thread in export.threads() if thread.outcome == "complete" for record in thread.messages
            ]
            assert list(export) == records
            for thread in export.threads():
                row = self.export.rows[thread.thread_id]
                assert len(list(thread.messages)) == (row.messages or 0)
                if thread.outcome == "complete":
                    assert [*out.get(thread.thread_id, [])] == [dict(one.raw) for one in thread.messages if one.raw]
                elif thread.outcome in ("missing", "partial", "dropped"):
                    assert len(partial.get(thread.thread_id, [])) == (row.messages or 0)
        ended = {
            event.thread_id
            for event in self.export.events
            if isinstance(event, ThreadEnded) and event.outcome is Outcome.COMPLETE
        }
        complete = {name for name, outcome in self.export.outcomes.items() if outcome == "complete"}
        assert self.is_page_damaged or ended <= complete or not fetched
        self.is_page_damaged = False
        for name in ended & complete if fetched else ():
            self.check_fetched(name, [record.message_id for record in records if record.thread_id == name], out)

    def check_fetched(self, name: str, ids: list[str], out: Mapping[str, list[dict[str, Any]]]) -> None:
        """A thread that was fetched in this run is as the server has it, with what that has no longer."""
        now = {row["id"]: row for row in self.world[name]}
        assert [one for one in ids if one in now] == [*now]
        assert len({*ids}) == len(ids)
        assert {*ids} <= {*self.served}
        for row in out.get(name, ()):
            assert row in self.served[row["id"]]
            assert row["content"] or not any(version["content"] for version in self.served[row["id"]][-1:])

    def check(self) -> None:
        """Nothing that was held is lost, and no id is forgotten or has changed its place."""
        assert self.held() >= self.was_held
        assert self.runs() >= self.was_runs
        order = self.order()
        assert order[: len(self.was_order)] == self.was_order
        self.keep_in_mind()

    # --- the world

    @rule(changes=st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 4), CHANGES), min_size=1, max_size=4))
    def time_passes(self, changes: list[tuple[str, int, str]]) -> None:
        """Messages come, go, lose their content or gain a field; threads go."""
        for name, place, change in changes:
            rows = self.world.setdefault(name, [])
            if change == "thread goes":
                del self.world[name]
            elif change == "message comes":
                self.born += 1
                rows.append(message(name, self.born))
            elif not rows:
                continue
            elif change == "message goes":
                del rows[place % len(rows)]
            else:
                fields: dict[str, Any] = {"content": []} if change == "emptied" else {"x": place}
                rows[place % len(rows)] = {**rows[place % len(rows)], **fields}

    # --- damage

    def is_cut_off(self) -> bool:
        """Whether a run was cut off, and has left something."""
        return self.export.paths.store.exists() or any(self.folder.glob("*.new"))

    def has_manifest(self) -> bool:
        """Whether there is one that can be read."""
        with open_file_set(self.export.paths) as files:
            return files.manifest is not None

    def files(self) -> list[Path]:
        """What can be damaged."""
        paths = self.export.paths
        names = (paths.out, paths.partial, paths.sidecar("runs"))
        return [path for path in names if path.exists() and path.stat().st_size]

    @precondition(lambda self: self.files())
    @rule(which=st.integers(0, 9), place=st.floats(0, 0.999), how=st.sampled_from(["change", "insert", "cut", "line"]))
    def damage(self, which: int, place: float, how: str) -> None:
        """A byte is changed or put in, the end is lost, or a line."""
        path = self.files()[which % len(self.files())]
        content = path.read_bytes()
        at = int(place * len(content))
        begin, end = content.rfind(b"\n", 0, at) + 1, content.find(b"\n", at) + 1 or len(content)
        damaged = {
            "change": content[:at] + b"\1" + content[at + 1 :],
            "insert": content[:at] + b"\1" + content[at:],
            "cut": content[:at],
            "line": content[:begin] + content[end:],
        }
        path.write_bytes(damaged[how])
        self.is_damaged = True
        self.keep_in_mind()

    @precondition(lambda self: self.export.paths.index.exists())
    @rule(place=st.integers(0, 9))
    def damage_index(self, place: int) -> None:
        """A row, or the header, cannot be read."""
        lines = self.export.paths.index.read_bytes().split(b"\n")[:-1]
        number = place % len(lines)
        if number == 0 and not self.has_manifest():
            return
        was = lines.pop(number)
        self.export.paths.index.write_bytes(
            b"".join(line + b"\n" for line in [*lines[:number], b"?" + was, *lines[number:]])
        )
        self.is_damaged = True
        self.keep_in_mind()

    @precondition(lambda self: self.export.paths.manifest.exists())
    @rule(content=st.sampled_from([None, b"{"]))
    def damage_manifest(self, content: bytes | None) -> None:
        """It is lost, or cannot be read."""
        if self.export.paths.index.read_bytes().startswith(b"?"):
            return
        self.export.paths.manifest.unlink()
        if content is not None:
            self.export.paths.manifest.write_bytes(content)
        self.is_damaged = True

    @precondition(lambda self: self.export.paths.store.exists())
    @rule(page=st.integers(0, 9))
    def damage_page(self, page: int) -> None:
        """A stored page changes under SQLite."""
        with contextlib.closing(sqlite3.connect(self.export.paths.store)) as store, store:
            rows = [row for (row,) in store.execute("SELECT id FROM pages ORDER BY id")]
            if rows:
                store.execute(
                    "UPDATE pages SET lines=CAST(replace(lines, 'thread', ?) AS BLOB) WHERE id=?",
                    (DAMAGED.decode(), rows[page % len(rows)]),
                )
                self.is_page_damaged = True
        self.keep_in_mind()

    @precondition(lambda self: self.export.paths.index.exists() and not self.is_cut_off())
    @rule()
    def lose_the_index(self) -> None:
        """Then nothing is overwritten; here it is found again."""
        index = self.export.paths.index.read_bytes()
        self.export.paths.index.unlink()
        before = self.export.contents()
        with pytest.raises(OutputUnusable, match="never overwritten"):
            self.export.run_alone(NAMES, World(self.world), **self.options)
        assert self.export.contents() == before
        self.export.paths.index.write_bytes(index)

    # --- at any time

    @invariant()
    def only_our_names(self) -> None:
        """Nothing else is in the folder."""
        if not hasattr(self, "folder"):
            return
        paths = self.export.paths
        ours = {path.name for path in (*paths.all_files(), new(new(paths.manifest)))}
        ours |= {new(path).name for path in paths.store_files}
        assert all(path.name in ours or ".old-" in path.name for path in self.folder.iterdir())

    @invariant()
    def it_can_be_read(self) -> None:
        """All of it, unless it was damaged."""
        if not hasattr(self, "folder") or not (self.export.paths.out.exists() or self.export.paths.index.exists()):
            return
        with threadkeep.read(self.export.paths.out) as export:
            if not self.is_damaged:
                assert sum(1 for _ in export) == sum(
                    sum(1 for _ in thread.messages) for thread in export.threads() if thread.outcome == "complete"
                )


Exports.TestCase.settings = settings(max_examples=40, stateful_step_count=14)
TestExports = Exports.TestCase
