"""The files that messages refer to, at the target: known there already, or uploaded once, or a loss."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import attrs

from threadkeep.api.client import ApiClient
from threadkeep.api.pagination import read_object
from threadkeep.errors import ApiError, ApiGone, RunEnded
from threadkeep.migration.conversations.items import FileAtTarget
from threadkeep.migration.store import PushStore, StoredFile
from threadkeep.storage.lines import size_of
from threadkeep.storage.private_files import on_disk, open_regular
from threadkeep.storage.store_thread import StoreThread

__all__ = ["FilesAtTarget"]


@attrs.define
class FilesAtTarget:
    """Finds or uploads files. What became of each is in the store, so that none is uploaded twice.

    Args:
        is_uploading: whether files that the target does not know are uploaded.
        image_purpose, purpose: of an uploaded image, and of any other file.
    """

    _store: PushStore
    _thread: StoreThread
    is_uploading: bool
    _image_purpose: str
    _purpose: str
    _found: dict[str, FileAtTarget] = attrs.field(factory=dict, init=False)
    _locks: dict[str, asyncio.Lock] = attrs.field(factory=lambda: defaultdict(asyncio.Lock), init=False)

    async def settle(self, file_ids: Iterable[str], client: ApiClient) -> dict[str, FileAtTarget]:
        """Return the files at the target, by their ids at the source.

        Of one that it refuses, its reason is returned. Others that are not there have none: the target does not know
        them, and they are not to be uploaded or cannot be.

        Raises:
            ApiError: there is no usable answer about one of them.
            OutputUnusable: a downloaded file cannot be read.
        """
        found = {}
        for file_id in dict.fromkeys(file_ids):
            async with self._locks[file_id]:
                if file_id not in self._found:
                    self._found[file_id] = await self._settle(file_id, client)
            found[file_id] = self._found[file_id]
        return found

    async def known(self, file_ids: Iterable[str]) -> dict[str, FileAtTarget]:
        """Return what the store knows of files, without a request."""
        rows = {file_id: await self._thread.call(self._store.file, file_id) for file_id in dict.fromkeys(file_ids)}
        return {file_id: FileAtTarget(row.target_id, "") for file_id, row in rows.items()}

    async def _settle(self, file_id: str, client: ApiClient) -> FileAtTarget:
        row = await self._thread.call(self._store.file, file_id)
        if row.target_id is not None:
            return FileAtTarget(row.target_id)
        if row.state != "sending" and await self._is_there(file_id, client):
            there = FileAtTarget(file_id)
        elif not self.is_uploading or row.path is None:
            there = FileAtTarget(None)
        else:
            there = await self._upload(row, Path(row.path), client)
        await self._thread.call(self._store.settle_file, file_id, there.file_id)
        return there

    async def _is_there(self, file_id: str, client: ApiClient) -> bool:
        """A file that this key may not see is not there for its conversations either."""
        try:
            await client.fetch(f"/files/{quote(file_id, safe='')}", object_id=file_id)
        except ApiError as problem:
            if problem.status not in (400, 403, 404) or isinstance(problem, ApiGone):
                raise
            return False
        return True

    async def _upload(self, row: StoredFile, path: Path, client: ApiClient) -> FileAtTarget:
        with on_disk(path):
            try:
                file = open_regular(path)
            except FileNotFoundError:
                return FileAtTarget(None)
        purpose = self._image_purpose if row.is_image else self._purpose
        with file:
            size = size_of(file)
            was_sent = row.state == "sending"

            def read(body: bytes) -> str:
                return str(read_object(body)["id"])

            async def attempt() -> FileAtTarget:
                nonlocal was_sent
                if was_sent and (uploaded := await self._uploaded(path.name, size, purpose, client)) is not None:
                    return FileAtTarget(uploaded)
                await self._thread.call(self._store.sending_file, row.file_id)
                was_sent = True
                try:
                    uploaded_id = await client.upload(file, name=path.name, size=size, purpose=purpose, read=read)
                    client.refuse_unusable_id(uploaded_id)
                    return FileAtTarget(uploaded_id)
                except ApiError as problem:
                    if not _is_refusal(problem):
                        raise
                    return FileAtTarget(None, f"the target refuses the file {row.file_id}: {problem}")

            return await client.retried(attempt)

    async def _uploaded(self, name: str, size: int, purpose: str, client: ApiClient) -> str | None:
        """Return the id of a file that was uploaded under this name, if its upload has come to its end.

        The name has the id of the file at the source in it, so no other file has it.
        """
        async for page in client.walk("/files", params={"purpose": purpose}):
            for one in page.rows:
                if one.get("filename") == name and one.get("bytes") == size:
                    return str(one["id"])
        return None


def _is_refusal(problem: ApiError) -> bool:
    """Return whether the target has answered that it does not take a file."""
    is_answer = problem.status is not None and not problem.unconfirmed
    return is_answer and not problem.may_retry and not isinstance(problem, RunEnded)
