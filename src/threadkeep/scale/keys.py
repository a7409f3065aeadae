"""The keys of an export in shards: where they come from, and that no two workers share one."""

from collections import deque
from collections.abc import Mapping, Sequence

import attrs

from threadkeep.api.endpoints import ApiSource, auth_and_keys, endpoint_of, without_secrets

__all__ = ["KeyRing", "keys_of"]


def keys_of(source: ApiSource, environ: Mapping[str, str]) -> tuple[str, tuple[ApiSource, ...]]:
    """Return the address without secrets, and the source for each key, with nothing left to the workers' environment.

    Raises:
        AccessRefused: there is no key.
        MalformedAddress: as `threadkeep.api.endpoints.endpoint_of`.
    """
    endpoint = endpoint_of(source, environ)
    given = attrs.evolve(
        source,
        base_url=source.base_url
        if source.base_url is not None
        else environ.get("OPENAI_BASE_URL") or endpoint.base_url,
        api_version=endpoint.query.get("api-version"),
    )
    address = without_secrets(endpoint.base_url)
    if source.token_command is not None:
        return address, (given,)
    auth, keys = auth_and_keys(source, endpoint.provider, environ)
    return address, tuple(attrs.evolve(given, auth=auth, keys=(key,)) for key in keys)


@attrs.define
class KeyRing:
    """Which keys are free. They are named by their numbers."""

    keys: Sequence[ApiSource]
    _free: deque[int] = attrs.field(init=False)
    _refused: set[int] = attrs.field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        self._free = deque(range(len(self.keys)))

    @property
    def is_spent(self) -> bool:
        """Whether every key was refused."""
        return len(self._refused) == len(self.keys)

    def take(self) -> int | None:
        """Take a key that nobody has; None if there is none."""
        return self._free.popleft() if self._free else None

    def give_back(self, number: int) -> None:
        """Give a key back that was taken."""
        if number not in self._refused:
            self._free.append(number)

    def refuse(self, number: int) -> None:
        """Have a key that was taken given to nobody any more."""
        self._refused.add(number)
