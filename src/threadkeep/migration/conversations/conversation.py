"""One conversation at the target: items are added to it once, in order, and compared with what it is to have."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from threadkeep.api.client import ApiClient
from threadkeep.api.error_mapping import LOCKED
from threadkeep.errors import AccessRefused, ApiError, BadPage, RequestFailed, WrongAddress
from threadkeep.migration.conversations import requests
from threadkeep.migration.conversations.comparison import differences, items_behind
from threadkeep.migration.destination import OtherItems
from threadkeep.serialization.lossless_json import dumps

__all__ = ["Conversation", "Refusals", "batches"]

# A request has no more bytes, unless one item has: images may be in the items.
_REQUEST_BYTES = 16 * 1024 * 1024

_MOST_NAMED = 5

# What a server has begun when its answer was lost is mostly carried out after so many seconds.
_REST_SECONDS = 2.0

# So many requests in a row that are refused with 403 mean that the key may write nothing. A firewall refuses single
# texts so.
_MOST_REFUSALS = 3


@attrs.define
class Refusals:
    """How many requests that add items were refused in a row."""

    in_a_row: int = 0

    def are_too_many(self) -> bool:
        """Count one more, and return whether it is the key that is refused."""
        self.in_a_row += 1
        return self.in_a_row >= _MOST_REFUSALS


@attrs.frozen(kw_only=True)
class Conversation:
    """A conversation at the target, and what it is to have.

    Attributes:
        conversation_id: its id.
        expected: the fingerprints of the items that it is to have.
        known: how many of them it had when it was complete last.
        refusals: counts the requests of all conversations that are refused with 403.
    """

    _client: ApiClient
    conversation_id: str
    _expected: Sequence[bytes]
    _refusals: Refusals
    _known: int = 0

    async def add(self, batch: Sequence[Mapping[str, Any]], place: int) -> bool:
        """Add items, of which the first has this place, and return whether each request was answered.

        A request without an answer is not repeated blindly: the items are read back, and those that are not there are
        sent. A request that is too large for the server is cut in two.

        Raises:
            ApiError: there is no usable answer.
            OtherItems: the conversation has others.
        """
        is_certain, is_open, arrived, end, most = True, False, place, place + len(batch), len(batch)

        async def attempt() -> None:
            nonlocal is_certain, is_open, arrived, most
            if is_open:
                arrived, is_open = await self._count_at_rest(arrived), False
            while arrived < end:
                part = batch[arrived - place :][:most]
                try:
                    await self._post(part, arrived)
                except ApiError as problem:
                    if problem.status == 413 and len(part) > 1:
                        most = len(part) // 2
                        continue
                    is_open = problem.unconfirmed or problem.code == LOCKED
                    is_certain &= not problem.unconfirmed
                    raise
                arrived += len(part)

        await self._client.retried(attempt)
        return is_certain

    async def _post(self, items: Sequence[Mapping[str, Any]], place: int) -> None:
        """Send items once. What refuses these says nothing of the others, unless it refuses one after another."""
        try:
            await requests.add_items(self._client, self.conversation_id, items)
        except (WrongAddress, AccessRefused) as problem:
            if problem.status not in (400, 403) or (problem.status == 403 and self._refusals.are_too_many()):
                raise
            what = f"items {place + 1} to {place + len(items)} of {self.conversation_id}"
            raise RequestFailed(f"{what} are refused: {problem}") from None
        self._refusals.in_a_row = 0

    async def _count_at_rest(self, place: int) -> int:
        """Return how many of the items are there, once a request without an answer has had its time.

        Raises:
            BadPage: the list has fewer than the server has confirmed, so it lags behind. A retry may help.
        """
        arrived = await self.count_arrived()
        if arrived <= place:
            await self._client.pause(_REST_SECONDS)
            arrived = await self.count_arrived()
        if arrived < place:
            raise BadPage(f"the list of {self.conversation_id} has {arrived} items, and {place} were confirmed")
        return arrived

    async def count_arrived(self) -> int:
        """Return how many of the items are there.

        Raises:
            OtherItems: there are others.
        """
        found = await requests.fetch_fingerprints(self._client, self.conversation_id)
        if items_behind(self._expected, found):
            return len(self._expected)
        if self._known and items_behind(self._expected[: self._known], found) and found != self._expected[: len(found)]:
            raise OtherItems(
                f"{self.conversation_id} was continued behind item {self._known}, so what the export has since is not"
                " sent"
            )
        self._refuse_other(self._expected[: len(found)], found)
        return len(found)

    async def compare(self) -> int:
        """Read back the items, and return how many of others are behind them.

        Raises:
            OtherItems: they are not those that were to be sent.
        """
        found = await requests.fetch_fingerprints(self._client, self.conversation_id)
        if behind := items_behind(self._expected, found):
            return behind
        self._refuse_other(self._expected, found)
        return 0

    def _refuse_other(self, expected: Sequence[bytes], found: Sequence[bytes]) -> None:
        rows = differences(expected, found)
        if rows:
            more = f", and {len(rows) - _MOST_NAMED:,} more" if len(rows) > _MOST_NAMED else ""
            raise OtherItems(f"{self.conversation_id}: {', '.join(map(str, rows[:_MOST_NAMED]))}{more}")


def batches(items: Iterator[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Yield items in batches, each for one request."""
    batch, size = list[Mapping[str, Any]](), 0
    for item in items:
        length = len(dumps(item))
        if batch and (len(batch) == requests.ITEMS_PER_REQUEST or size + length > _REQUEST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += length
    if batch:
        yield batch
