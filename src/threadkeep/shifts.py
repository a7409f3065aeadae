"""Whole threads that do not stand at the bytes that the journal names for them: which of them were moved.

What only follows lines that are more or fewer than they were is in its place. So a line that was lost is told of its
own thread, and not of the thousands behind it.
"""

__all__ = ["Shift"]


class Shift:
    """By how many bytes the lines of a file stand behind their places; seen thread by thread, as they come."""

    def __init__(self) -> None:
        self._shift = 0
        self._ended = 0

    def is_in_place(self, start: int, ends: int, end_offset: int) -> bool:
        """Pass a thread that the journal knows: whether it is where it was written, or where those before it put it.

        Lines between them, of which the journal says nothing, were put there and move what follows; or it was their
        entry that was lost, and they do not.

        Args:
            start, ends: the bytes at which its lines begin and end.
            end_offset: at which they should end, by the journal.
        """
        explained = (0, self._shift, self._shift + start - self._ended)
        self._shift, self._ended = ends - end_offset, ends
        return self._shift in explained
