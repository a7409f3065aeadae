"""Threads on their way into conversations: each is created once, and every item is sent once, in order."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import attrs

from threadkeep.api.client import ApiClient
from threadkeep.conversion.job import Options
from threadkeep.conversion.losses import Loss
from threadkeep.conversion.source import Thread
from threadkeep.errors import AccessRefused, ApiError, RequestFailed, RunEnded
from threadkeep.migration.conversations import requests
from threadkeep.migration.conversations.comparison import fingerprint, missing_pairs
from threadkeep.migration.conversations.conversation import Conversation, Refusals, batches
from threadkeep.migration.conversations.downloads import awaited, why_not_here
from threadkeep.migration.conversations.files import FilesAtTarget
from threadkeep.migration.conversations.items import FileAtTarget, SentItem, by_kind, items_of_thread
from threadkeep.migration.conversations.metadata import THREAD_ID, Metadata, encode_times, metadata_of, without_times
from threadkeep.migration.destination import FilesAwaited, OtherItems, PushContext
from threadkeep.migration.store import PushStore, StoredThread
from threadkeep.serialization.lossless_json import dumps, loads
from threadkeep.storage.store_thread import StoreThread

__all__ = ["ConversationDelivery", "Conversations"]


@attrs.frozen
class _Expected:
    """What a conversation is to have.

    Attributes:
        fingerprints: of its items.
        times: of these.
        losses: what they do not carry.
    """

    fingerprints: Sequence[bytes]
    times: str
    losses: Sequence[Loss]

    @classmethod
    def of(cls, items: Iterable[SentItem]) -> "_Expected":
        fingerprints, times, losses = list[bytes](), list[int | None](), list[Loss]()
        for one in items:
            losses += one.losses
            if one.item is not None:
                fingerprints.append(fingerprint(one.item))
                times.append(one.time)
        return cls(fingerprints, encode_times(times), losses)


@attrs.define
class ConversationDelivery:
    """Sends a thread, or compares its conversation with what was to be sent.

    Attributes:
        thread: as it is read from the export.
        sent: how many items this run has sent.
        was_found: a request about its conversation was answered, so that no other key has it.
        behind: how many items of others were behind ours when it was verified.
        is_certain: whether each request that adds items was answered.
    """

    thread: Thread
    _options: Options
    _store: PushStore
    _store_thread: StoreThread
    _files: FilesAtTarget
    _refusals: Refusals
    _without_files: bool
    sent: int = attrs.field(default=0, init=False)
    was_found: bool = attrs.field(default=False, init=False)
    behind: int = attrs.field(default=0, init=False)
    is_certain: bool = attrs.field(default=True, init=False)

    def may_be_anothers(self, problem: ApiError) -> bool:
        """Return whether another key may have the conversation."""
        return problem.status == 404 and not self.was_found and not isinstance(problem, RunEnded)

    async def run(self, client: ApiClient) -> None:
        """Send what is not there yet.

        Raises:
            ApiError: there is no usable answer. The store says how far it came.
            OtherItems: the conversation has other items than those that were sent.
            FilesAwaited: nothing was sent, since a file is not here yet.
            MalformedLine, OutputUnusable: the export or the store cannot be read.
        """
        thread_id = self.thread.thread_id
        row = await self._call(self._store.thread, thread_id)
        files = await self._settle_files(client, is_begun=row.conversation_id is not None)
        expected = _Expected.of(self._items(files))
        if not expected.fingerprints and row.conversation_id is None:
            await self._call(self._store.empty, thread_id, expected.losses)
            return
        own = self._own_metadata(row)
        metadata = metadata_of(thread_id, own, expected.times)
        losses = [*metadata.losses, *expected.losses]
        conversation_id, arrived = row.conversation_id, None
        if conversation_id is None:
            conversation_id, arrived = await self._create(client, metadata, losses), 0
        target = self._conversation(client, conversation_id, expected, row.items)
        is_certain = self.is_certain = await self._send(target, files, arrived)
        if row.conversation_id is not None:
            if row.metadata != _written(metadata):
                metadata = await self._replace_metadata(client, row, metadata, own, expected.times)
            await self._call(self._store.extending, thread_id, _written(metadata), losses)
        if not is_certain:
            await target.compare()
        await self._call(
            self._store.done,
            thread_id,
            len(expected.fingerprints),
            expected.times,
            metadata.has_times,
            not is_certain,
        )

    async def verify(self, client: ApiClient) -> None:
        """Compare the conversation with what was to be sent.

        Raises:
            ApiError: there is no usable answer.
            OtherItems: it is not as it was sent.
            MalformedLine, OutputUnusable: the export or the store cannot be read.
        """
        row = await self._call(self._store.thread, self.thread.thread_id)
        assert row.conversation_id is not None
        files = await self._files.known(self._needed()) | await self._call(self._store.lost_files, row.thread_id)
        expected = _Expected.of(self._items(files))
        pairs = await requests.fetch_metadata(client, row.conversation_id)
        self.was_found = True
        if lost := missing_pairs(_read(row.metadata), pairs):
            raise OtherItems(f"{row.conversation_id}: metadata is gone or changed: {', '.join(lost)}")
        self.behind = await self._conversation(client, row.conversation_id, expected).compare()

    async def _create(self, client: ApiClient, metadata: Metadata, losses: Sequence[Loss]) -> str:
        thread_id = self.thread.thread_id

        async def attempt() -> str:
            await self._call(self._store.creating, thread_id, _written(metadata), losses)
            try:
                return await requests.create(client, metadata.pairs)
            except ApiError as problem:
                if problem.unconfirmed:
                    problem.may_retry = False  # it is found out first whether it was carried out
                else:
                    await self._call(self._store.not_created, thread_id, False)
                raise

        conversation_id = await client.retried(attempt)
        self.was_found = True
        await self._call(self._store.created, thread_id, conversation_id)
        return conversation_id

    async def _settle_files(self, client: ApiClient, *, is_begun: bool) -> Mapping[str, FileAtTarget]:
        """Return the files at the target. Those that a conversation was begun without are not sent later either."""
        thread_id = self.thread.thread_id
        before = await self._call(self._store.lost_files, thread_id)
        lost = dict(before) if is_begun else {}
        needed = {file_id: is_image for file_id, is_image in self._needed().items() if file_id not in lost}
        self._refuse_awaited(one for one, is_image in needed.items() if is_image and self._options.inline_images)
        files = await self._files.settle(needed, client)
        absent = [file_id for file_id, there in files.items() if there.file_id is None and not there.why]
        self._refuse_awaited(one for one in absent if self._is_wanted(needed[one]))
        files |= {one: FileAtTarget(None, self._why_lost(one, needed[one])) for one in absent}
        lost |= {file_id: there for file_id, there in files.items() if there.file_id is None}
        if lost != before:
            await self._call(self._store.lose_files, thread_id, lost)
        return files | lost

    def _is_wanted(self, is_image: bool) -> bool:
        """Return whether the options send such a file."""
        return self._files.is_uploading or (is_image and self._options.inline_images)

    def _refuse_awaited(self, file_ids: Iterable[str]) -> None:
        if not self._without_files and (why := awaited(self.thread, file_ids)) is not None:
            raise FilesAwaited(why)

    def _why_lost(self, file_id: str, is_image: bool) -> str:
        """Return why a file is not at the target that has nothing against it."""
        if self._is_wanted(is_image):
            why = f"it {why_not_here(self.thread, file_id)}"
        elif is_image:  # which option helps depends on the target
            why = "neither --upload-files nor --inline-images was given"
        else:
            why = "--upload-files was not given"
        return f"the target does not have the file {file_id}, and {why}"

    def _own_metadata(self, row: StoredThread) -> object:
        """Return the thread's own metadata: that of the export, else as it was sent before."""
        if self.thread.thread is not None:
            return self.thread.thread.get("metadata")
        return without_times(_read(row.metadata))

    async def _replace_metadata(
        self, client: ApiClient, row: StoredThread, metadata: Metadata, own: object, times: str
    ) -> Metadata:
        """Replace the metadata of a conversation, and return it, without the pairs that others have added there.

        These are sent along, since whatever is not sent is removed.
        """
        assert row.conversation_id is not None
        found = await requests.fetch_metadata(client, row.conversation_id)
        ours = _read(row.metadata).keys() | metadata.pairs.keys()
        theirs = {key: value for key, value in without_times(found).items() if key not in ours}
        if theirs:
            pairs = own if isinstance(own, Mapping) else {}
            metadata = metadata_of(row.thread_id, {**pairs, **theirs}, times)
        await requests.set_metadata(client, row.conversation_id, metadata.pairs)
        return attrs.evolve(metadata, pairs={key: value for key, value in metadata.pairs.items() if key not in theirs})

    async def _send(self, target: Conversation, files: Mapping[str, FileAtTarget], arrived: int | None) -> bool:
        """Send the items that have not arrived, and return whether each request was answered.

        Args:
            arrived: how many have; None if that must be asked for.
        """
        is_certain = arrived is not None
        if arrived is None:
            arrived = await target.count_arrived()
            self.was_found = True
        for batch in batches(islice(self._sendable(files), arrived, None)):
            is_certain &= await target.add(batch, arrived)
            arrived += len(batch)
            self.sent += len(batch)
        return is_certain

    def _conversation(
        self, client: ApiClient, conversation_id: str, expected: _Expected, known: int = 0
    ) -> Conversation:
        return Conversation(
            client=client,
            conversation_id=conversation_id,
            expected=expected.fingerprints,
            refusals=self._refusals,
            known=known,
        )

    def _needed(self) -> dict[str, bool]:
        return by_kind(file for one in items_of_thread(self.thread, self._options) for file in one.files)

    def _items(self, files: Mapping[str, FileAtTarget]) -> Iterator[SentItem]:
        return items_of_thread(self.thread, self._options, files)

    def _sendable(self, files: Mapping[str, FileAtTarget]) -> Iterator[Mapping[str, Any]]:
        return (one.item for one in self._items(files) if one.item is not None)

    async def _call(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await self._store_thread.call(work, *arguments)


def _written(metadata: Metadata) -> str:
    return dumps(metadata.pairs).decode()


def _read(metadata: str | None) -> Mapping[str, str]:
    pairs: Mapping[str, str] = loads((metadata or "{}").encode())
    return pairs


@attrs.define
class Conversations:
    """Conversations of OpenAI, or of the new Foundry, as a destination.

    Args:
        is_foundry: whether conversations are listed to find one whose creation was not answered.
        upload_files: upload files that the target does not know.
    """

    _options: Options
    _store: PushStore
    _thread: StoreThread
    _is_foundry: bool
    _files: FilesAtTarget = attrs.field(init=False)
    _upload_files: bool = attrs.field(kw_only=True)
    _without_files: bool = attrs.field(kw_only=True)
    _refusals: Refusals = attrs.field(factory=Refusals, init=False)

    def __attrs_post_init__(self) -> None:
        # Azure refuses the other purposes (quoted).
        image, other = ("assistants", "assistants") if self._is_foundry else ("vision", "user_data")
        self._files = FilesAtTarget(self._store, self._thread, self._upload_files, image, other)

    @classmethod
    def of(cls, context: PushContext) -> "Conversations":
        """Return the destination of a push."""
        return cls(
            context.options,
            context.store,
            context.thread,
            context.is_foundry,
            upload_files=context.upload_files,
            without_files=context.without_files,
        )

    def delivery(self, thread: Thread) -> ConversationDelivery:
        """Return what sends a thread."""
        return ConversationDelivery(
            thread, self._options, self._store, self._thread, self._files, self._refusals, self._without_files
        )

    async def settle(self, client: ApiClient, rows: Sequence[StoredThread]) -> None:
        """Find out which conversations are there, of those whose creation was not answered, by this run or another.

        Where the server lists conversations, an empty one with the same metadata is the one. Elsewhere an empty one may
        be left over.
        """
        waiting = {row.thread_id: row for row in rows}
        is_listed = self._is_foundry
        try:
            await self._adopt(client, waiting)
        except (AccessRefused, RequestFailed) as problem:
            if problem.status not in (403, 404, 405, 501):
                raise
            is_listed = False  # it may not be listed with this key: what is there cannot be found
        for thread_id in waiting:
            await self._thread.call(self._store.not_created, thread_id, not is_listed)

    async def _adopt(self, client: ApiClient, waiting: dict[str, StoredThread]) -> None:
        """Record the conversations that are found in the list, and take their threads from those that wait."""
        if self._is_foundry:
            async for conversation in requests.list_conversations(client):
                pairs, conversation_id = conversation.get("metadata"), conversation["id"]
                thread_id = pairs.get(THREAD_ID) if isinstance(pairs, Mapping) else None
                row = waiting.get(thread_id) if isinstance(thread_id, str) else None
                if row is None or missing_pairs(_read(row.metadata), pairs):
                    continue
                if await self._thread.call(self._store.is_known, conversation_id):
                    continue
                if not await requests.fetch_fingerprints(client, conversation_id):
                    await self._thread.call(self._store.created, row.thread_id, conversation_id)
                    del waiting[row.thread_id]
