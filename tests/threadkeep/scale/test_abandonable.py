"""A call that hangs ends with nobody waiting for it."""

import asyncio
import threading

import pytest

from threadkeep.scale.abandonable import are_any_left, in_thread


def test_what_is_called_is_returned_or_raised() -> None:
    """As without a thread."""
    assert asyncio.run(in_thread(int, "7", base=8)) == 7
    with pytest.raises(ValueError, match="invalid literal"):
        asyncio.run(in_thread(int, "x"))


def test_a_call_that_hangs() -> None:
    """A cancellation does not wait for it, nor does the end of the loop; afterwards one can know of it."""
    has_begun, may_end, has_ended = threading.Event(), threading.Event(), threading.Event()

    def hang() -> None:
        has_begun.set()
        may_end.wait()
        has_ended.set()

    async def cancel() -> None:
        task = asyncio.create_task(in_thread(hang))
        await in_thread(has_begun.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert are_any_left()
    may_end.set()
    assert has_ended.wait()
