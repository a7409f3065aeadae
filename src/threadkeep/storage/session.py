"""An export that is locked and open to be written: what is there, what is wanted, and the files in the end.

A session begins with the lock, ends an exchange of files that a kill has cut off, opens the working store or creates
one, inspects the files of the export, and plans the run. It ends with every file written anew from the store and from
what the export held before. Everything here is synchronous, and needs no network.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import TypeVar

import attrs
import msgspec

from threadkeep.arguments import A_FUNCTION, A_PATH, refuse_wrong_types
from threadkeep.clock import now
from threadkeep.errors import OtherExport, OutputUnusable
from threadkeep.serialization.id_lists import IdList
from threadkeep.serialization.thread_ids import ListedId, is_thread_id, kind_of_id
from threadkeep.storage.combine import Combined
from threadkeep.storage.damage import Inspection, download_rows, index_rows
from threadkeep.storage.file_set import FileSet, open_file_set
from threadkeep.storage.index import DownloadRow, IndexHeader, Outcome, decode_header
from threadkeep.storage.lines import lines_in
from threadkeep.storage.lock import locked
from threadkeep.storage.manifest import Manifest
from threadkeep.storage.paths import Paths, refuse_companion
from threadkeep.storage.private_files import on_disk, refuse_irregular
from threadkeep.storage.sharding import Shard
from threadkeep.storage.store import (
    DamagedPage,
    DamagedStore,
    Plan,
    PlannedThread,
    Progress,
    Restart,
    Settled,
    Store,
    StoreFacts,
)
from threadkeep.storage.writer import (
    RunFacts,
    delete_store,
    finish_exchange,
    keep_aside,
    next_aside,
    put_in_place,
    write_new_set,
)

__all__ = ["InvalidId", "InvalidIds", "Session", "ThreadList", "refuse_other", "write"]

_EXAMPLES = 20
_DAMAGED_EXAMPLES = 5

_T = TypeVar("_T")


@attrs.frozen(kw_only=True)
class ThreadList:
    """Which threads a run is for.

    Attributes:
        ids: the entries of the list. Read once, and never held together. The assistants that they name count in an
            export for "auto".
        done: ids that are saved elsewhere: they are left out of the list.
        drop: ids that are not wanted any more.
        limit: how many of the list to take; None for all.
        shard: take only the ids of this shard, before they are counted.
        refresh: ask for the threads that are complete too.
    """

    ids: Iterable[ListedId] = ()
    done: Iterable[str] = ()
    drop: Iterable[str] = ()
    limit: int | None = None
    shard: Shard | None = None
    refresh: bool = False

    @property
    def form(self) -> str | None:
        """How the list was read, in words; None where nothing had to be found out. It is known when all was read."""
        return str(self.ids) if isinstance(self.ids, IdList) and not self.ids.is_plain else None


@attrs.frozen
class InvalidId:
    """An entry of the list that cannot be a thread id: the number of its line, from 1, its text, and its kind, such as
    "an assistant's id", where that is known.
    """

    place: int
    text: str
    kind: str | None = None


@attrs.define
class InvalidIds:
    """The entries of a list that cannot be thread ids.

    Attributes:
        examples: the first of them.
        count: how many there are.
    """

    examples: list[InvalidId] = attrs.field(factory=list, init=False)
    count: int = attrs.field(default=0, init=False)

    def passed_over(self, ids: Iterable[ListedId], shard: Shard | None = None) -> Iterator[tuple[str, str | None]]:
        """Yield the ids of a list, or of a shard of it, with their assistants, and count the entries that are none."""
        for place, text, assistant_id in ids:
            if shard is not None and not shard.has(text):
                continue
            if is_thread_id(text):
                yield text, assistant_id
                continue
            self.count += 1
            if len(self.examples) < _EXAMPLES:
                shown = "sk-…" if text.startswith("sk-") else text  # pasted by mistake: no message may have it
                self.examples.append(InvalidId(place, shown, kind_of_id(text)))


class Session:
    """An export that is being written.

    Args:
        paths: of the export.
        started_at: when the run began, in UTC.
        check: called again and again during long work; what it raises ends that.

    Attributes:
        notices: what a person should know, in sentences.
        store: the working store.
        plan: what the run is to do.
        begun, progress: what runs had come to before this one, and what they have come to by now.
        resumed: whether the store holds pages of a run that was cut off.
        old: the files of the export so far; None where there are none, or they do not count.
        manifest: theirs; None when there is none that agrees with the index.
        invalid: the entries of the list that cannot be thread ids.
        http_library: the distribution that threads were asked for with; None if none were.
    """

    store: Store
    plan: Plan

    def __init__(self, paths: Paths, started_at: datetime, check: Callable[[], None] = lambda: None) -> None:
        self.notices: list[str] = []
        self.begun = self.progress = Progress()
        self.resumed = False
        self.old: FileSet | None = None
        self.manifest: Manifest | None = None
        self.invalid = InvalidIds()
        self.http_library: str | None = None
        self._paths = paths
        self.started_at = started_at
        self._check = check
        self._opened = contextlib.ExitStack()
        self._is_damaged = self._recount = False

    def begin(self, header: IndexHeader | None, wanted: ThreadList, *, fresh: bool = False) -> None:
        """Take the lock, look at what is there, and plan the run.

        Args:
            header: what the export is of; None to resume what is there.
            wanted: which threads the run is for.
            fresh: begin anew, and keep what is there under another name.

        Raises:
            OutputUnusable: what is there cannot be resumed, or the disk reports an error.
            UnreadableIds: the list cannot be read.
        """
        try:
            self._begin(header, wanted, fresh=fresh)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the files and the store, then release the lock. It can be called again.

        A store that SQLite has found damaged is moved aside: the next run begins without it.
        """
        if hasattr(self, "store"):
            self.store.close()
            if self.store.is_damaged:
                self.store.is_damaged = False
                self._move_store()
        self._opened.close()

    def _begin(self, header: IndexHeader | None, wanted: ThreadList, *, fresh: bool) -> None:
        paths = self._paths
        with on_disk(paths.out):
            if not paths.out.parent.is_dir():
                raise OutputUnusable(f"{paths.out.parent} is not a folder. Create it, or choose another OUT.")
            refuse_companion(paths.out)
            for path in paths.all_files():
                refuse_irregular(path)
            refuse_irregular(paths.files, folder=True)
        self._opened.enter_context(locked(paths.lock))
        finish_exchange(paths)
        old = self._opened.enter_context(open_file_set(paths))
        self._open_store(old, header, fresh=fresh)
        if old.has_index and not self.store.facts.fresh:
            self.old = old
        try:
            self._make_plan(wanted)
        except BaseException:
            if not self.resumed:
                self.store.close()
                delete_store(paths)
            raise

    # --- what is there

    def _refuse_unknown(self, old: FileSet) -> None:
        """Raise if there are files without an index: another program may have written them."""
        if not old.has_index and (old.files or old.manifest is not None or old.manifest_fault is not None):
            path = self._paths.written[next(iter(old.files))] if old.files else self._paths.manifest
            raise OutputUnusable(
                f"{path} exists already, and there is no {self._paths.index.name} that says what it is. It is never"
                " overwritten: choose another OUT, or use --fresh to begin anew and keep the old files under another"
                " name."
            )

    def _open_store(self, old: FileSet, header: IndexHeader | None, *, fresh: bool) -> None:
        paths = self._paths
        found = self._existing_store()
        is_to_begin_anew = fresh and found is not None and not found.facts.begun_fresh
        if found is not None and (is_to_begin_anew or _is_of_another_run(found, header)):
            self._leave_store(found)
            found = None
        if found is not None:
            self.store, self.resumed = found, True
            if header is not None:
                refuse_other(found.header, header, paths.out)
            self.begun = self.progress = found.facts.progress
            if not found.facts.fresh:
                self._refuse_unknown(old)
            return
        if not fresh:
            self._refuse_unknown(old)
        if old.has_index and not fresh:
            before = _header_of(old)
            if header is not None and _has_fetched(old):
                refuse_other(before, header, paths.out)
            header = header or before
        if header is None:
            nothing = f"there is nothing to write: neither {paths.store} nor {paths.index} exists. Check OUT."
            raise OutputUnusable(" ".join([*self.notices, nothing]))
        is_fresh = fresh and bool(old.files)
        facts = StoreFacts(header=header, started_at=_iso(self.started_at), begun_fresh=fresh, fresh=is_fresh)
        self.store = Store.create(paths, facts)

    def _existing_store(self) -> Store | None:
        if not self._paths.store.exists():
            return None
        try:
            return Store.open(self._paths)
        except DamagedStore as error:
            self.notices.append(
                f"{self._paths.store.name} is damaged ({error}). It is kept as {self._move_store()}; what it had"
                " fetched is fetched again."
            )
            return None

    def _leave_store(self, store: Store) -> None:
        """Set a store aside under another name if there is anything in it, else delete it."""
        has_content = store.has_content
        store.close()
        if has_content:
            self.notices.append(f"What an earlier run had fetched is kept as {self._move_store()}.")
        else:
            delete_store(self._paths)

    def _move_store(self) -> str:
        kept = self._paths.aside(next_aside(self._paths))
        with on_disk(self._paths.store):
            for path, target in zip(self._paths.store_files, kept.store_files, strict=True):
                if path.exists():
                    path.rename(target)
        return kept.store.name

    # --- the plan

    def _make_plan(self, wanted: ThreadList) -> None:
        inspection = None
        exported: Iterable[PlannedThread] = ()
        if self.old is not None:
            inspection = Inspection(self.old, self.store.header.include, self.store)
            inspection.look(self._check)
            found = self.old.manifest
            self.manifest = found if found is not None and inspection.agrees_with(found, _header_of(self.old)) else None
            self._recount = inspection.is_index_altered
            exported = inspection.threads()
        self.plan = self.store.plan(
            self._checked(exported),
            self._checked(self.invalid.passed_over(wanted.ids, wanted.shard)),
            done=wanted.done,
            drop=wanted.drop,
            limit=wanted.limit,
            refresh=wanted.refresh,
        )
        self.progress = attrs.evolve(
            self.progress, threads=self.plan.listed, already_complete=self.plan.already_complete
        )
        self.store.apply((), self.progress)
        self._note(inspection)

    def _checked(self, items: Iterable[_T]) -> Iterator[_T]:
        for item in items:
            self._check()
            yield item

    def _note(self, inspection: Inspection | None) -> None:
        paths, plan = self._paths, self.plan
        if inspection is not None and not inspection.is_clean:
            self._is_damaged = True
            count, examples = self.store.damaged(_DAMAGED_EXAMPLES)
            self.notices.append(_damage_words(count, examples, paths, self._kept_as()))
        if self._recount:
            self.notices.append(
                f"{paths.index.name} is not the one that {paths.manifest.name} was written with: one of the two was"
                " changed. Both are written anew from the lines of the export."
            )
        elif self.old is not None and self.old.manifest is None:
            self.notices.append(f"{paths.manifest.name} is lost or damaged; it is written anew from the index.")
        elif self.old is not None and self.manifest is None and not self._is_damaged:
            self.notices.append(f"{paths.manifest.name} contradicts the index; it is written anew from the index.")
        if plan.left_over and plan.listed:
            self.notices.append(
                f"{_not_asked_for(plan.left_over)} List what you need too, and name the others in a file for --drop."
            )
        if plan.complete_dropped:
            self.notices.append(
                f"{plan.complete_dropped:,} ids to be dropped are complete in the export, and stay in it."
            )

    def _kept_as(self) -> int:
        """The N under which the old files are to be kept; the same after a kill."""
        if self.store.facts.kept_as is None:
            self.store.remember(kept_as=next_aside(self._paths))
        assert self.store.facts.kept_as is not None
        return self.store.facts.kept_as

    # --- downloads

    def known_downloads(self) -> dict[str, DownloadRow]:
        """Return what became of files, in earlier runs and in this one."""
        return {**(download_rows(self.old) if self.old is not None else {}), **self.store.downloads()}

    def files_of_complete(self) -> Iterator[str]:
        """Yield the ids of the files that complete threads refer to, with repeats."""
        index = self.old.files["index"] if self.old is not None else None
        for row in index_rows(index, self._paths.index.name) if index is not None else ():
            if row.outcome is Outcome.COMPLETE:
                yield from row.files
        yield from self.store.files_of_complete()

    # --- the end

    @property
    def has_news(self) -> bool:
        """Whether the files would be others than those that are there, or the manifest is missing."""
        return self.manifest is None or self._is_damaged or self.store.has_news()

    def write(self, ended_by: str | None, now: datetime, *, with_downloads: bool = False) -> Manifest:
        """Write the files of the export anew, put them in place, and delete the store.

        Args:
            ended_by: what ended the run before every thread had its turn; None when nothing did.
            now: when it ended, in UTC.
            with_downloads: list the files that threads refer to, even if nothing is known of any.

        Raises:
            OutputUnusable: the disk reports an error.
        """
        libraries = ("threadkeep", "openai", self.http_library)
        is_fresh = self.store.facts.fresh
        kept = self._kept_as() if self._is_damaged or is_fresh else None
        facts = RunFacts(
            started_at=self.store.facts.started_at,
            finished_at=_iso(now),
            versions={name: version(name) for name in filter(None, libraries)} | {"python": python_version()},
            ended_by=ended_by,
            kept_as=kept,
        )
        known = self.known_downloads()
        if not (with_downloads or known or (self.old is not None and "downloads" in self.old.files)):
            manifest = self._new_set(facts, None)
        else:
            manifest = self._new_set(facts, known)
        if kept is not None:
            keep_aside(self._paths, kept, with_downloads=is_fresh)
        self.store.close()
        put_in_place(self._paths, manifest)
        return manifest

    def _new_set(self, facts: RunFacts, downloads: Mapping[str, DownloadRow] | None) -> Manifest:
        while True:
            combined = Combined(self.store, self.old, recount=self._recount)
            try:
                return write_new_set(self._paths, self.store.header, combined, facts, downloads=downloads)
            except DamagedPage as page:  # what is not as it was stored counts as not fetched
                reason = "what was fetched of it was damaged in the working store; the same command fetches it again"
                failed = Settled(thread_id=page.thread_id, outcome=Outcome.FAILED, reason=reason)
                self.store.apply([Restart(page.thread_id), failed])

    def forget_store(self) -> None:
        """Delete the store: nothing of it is needed any more."""
        self.store.close()
        delete_store(self._paths)


def write(out: str | os.PathLike[str], *, on_notice: Callable[[str], object] = lambda _text: None) -> Manifest:
    """Write an export from what a run that was cut off has left in its working store. No API is asked.

    Args:
        out: the export.
        on_notice: receives sentences for a person.

    Returns:
        The manifest of what is there now; ``is_complete`` says whether every wanted thread is. Where nothing was
        fetched since the export was written, nothing changes.

    Raises:
        OutputUnusable: there is nothing to write, an export is at work, or the disk reports an error.
        TypeError: an argument is of another type.
    """
    refuse_wrong_types(locals(), {"out": A_PATH, "on_notice": A_FUNCTION})
    session = Session(Paths(Path(out)), now())
    session.begin(None, ThreadList())
    try:
        for text in session.notices:
            on_notice(text)
        if session.manifest is not None and not session.has_news:
            session.forget_store()
            return session.manifest
        return session.write("interrupted", now())
    finally:
        session.close()


def _header_of(old: FileSet) -> IndexHeader:
    """The header of the index; where that is damaged, the manifest says the same."""
    line = next(lines_in(old.files["index"], old.paths.index.name), b"")
    with contextlib.suppress(ValueError):
        return decode_header(line)
    if old.manifest is None:
        raise OutputUnusable(
            f"{old.paths.index} does not begin as an index does, and there is no manifest that could tell what the"
            " export is of. Restore one of them, or use --fresh to begin anew and keep the old files under another"
            " name."
        )
    fields = ("source", "assistant_id", "flat", "include")
    return msgspec.convert({name: getattr(old.manifest, name) for name in fields}, IndexHeader)


def _has_fetched(old: FileSet) -> bool:
    """Whether anything of the export came from its source."""
    nothing = (Outcome.UNFINISHED, Outcome.FAILED, Outcome.DROPPED)
    rows = index_rows(old.files["index"], old.paths.index.name)
    return any(row.outcome not in nothing or row.partial is not None for row in rows)


def _not_asked_for(count: int) -> str:
    if count == 1:
        return "1 thread of earlier runs is not complete, and this run does not ask for it."
    return f"{count:,} threads of earlier runs are not complete, and this run does not ask for them."


def _is_of_another_run(store: Store, header: IndexHeader | None) -> bool:
    """Whether a store has nothing but the ids of a run that was begun otherwise."""
    return not store.has_content and (header not in (None, store.header) or store.facts.fresh)


_OPTIONS = {"source": "--base-url", "assistant_id": "ASSISTANT_ID", "flat": "--flat", "include": "--include"}


def refuse_other(was: IndexHeader, now: IndexHeader, name: Path | str) -> None:
    """Refuse to resume an export as something else than it was begun as.

    Args:
        was: what it was begun as.
        now: what it is to be resumed as.
        name: of the export.

    Raises:
        OtherExport: the two are not the same.
    """
    for field, option in _OPTIONS.items():
        before, given = getattr(was, field), getattr(now, field)
        if before != given:
            raise OtherExport(f"{name} was begun {_typed(option, before)}, and not {_typed(option, given)}")


def _typed(option: str, value: object) -> str:
    if isinstance(value, bool):
        return f"with {option}" if value else f"without {option}"
    given = ",".join(value) if isinstance(value, tuple) else value
    return f"with {option} {given}" if given else f"without {option}"


def _iso(when: datetime) -> str:
    return when.isoformat(timespec="seconds")


def _damage_words(count: int, examples: list[str], paths: Paths, kept: int) -> str:
    words = [f"{paths.out.name} or a file next to it was damaged."]
    if count:
        more = ", ..." if count > _DAMAGED_EXAMPLES else ""
        some = f"{count:,} ({', '.join(examples)}{more})"
        words.append(f"Damaged threads: {some}; those in the list are fetched again.")
    words.append(f"The damaged files are kept as {paths.out.stem}.old-{kept}.*.")
    return " ".join(words)
