"""The ids that a world has or had, in layers, so that a fork of a large world costs little."""

import attrs


@attrs.define
class Used:
    """A set that only grows. A fork shares the older layers; only the newest one is its own."""

    _layers: tuple[frozenset[str], ...] = ()
    _own: set[str] = attrs.field(factory=set)

    def __contains__(self, object_id: str) -> bool:
        return object_id in self._own or any(object_id in layer for layer in self._layers)

    def add(self, object_id: str) -> None:
        """Note an id."""
        self._own.add(object_id)

    def fork(self) -> "Used":
        """The same ids; what is added to either from here on is not in the other."""
        if self._own:
            self._layers, self._own = _stacked(self._layers, frozenset(self._own)), set()
        return Used(self._layers)


def _stacked(layers: tuple[frozenset[str], ...], top: frozenset[str]) -> tuple[frozenset[str], ...]:
    """One layer more. Layers of like size become one, so there are few and an id is seldom copied."""
    while layers and len(layers[-1]) < 2 * len(top):
        layers, top = layers[:-1], layers[-1] | top
    return (*layers, top)
