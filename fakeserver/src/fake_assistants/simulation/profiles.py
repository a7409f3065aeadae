"""Whose API the fake speaks: where its routes stand, how a key comes, and what is different about it."""

import re
from collections.abc import Callable, Mapping

import attrs

from fake_assistants.http.message import Request
from fake_assistants.http.redaction import api_key, bearer


@attrs.frozen(kw_only=True)
class Profile:
    """`below` is what stands before the routes in a path, `base_path` the one of them that is told to clients.

    `key` finds the key of a request: "" for an empty one, None for none.
    """

    name: str
    base_path: str
    below: re.Pattern[str]
    key: Callable[[Request], str | None]
    wants_beta: bool
    lists_threads: bool

    def route(self, path: str) -> str:
        """The path as the table of routes has it, below `/v1`; "", which is no route, for a path elsewhere."""
        found = self.below.match(path)
        return f"/v1{path[found.end() :]}" if found else ""


def anyones_key(request: Request) -> str | None:
    """The key of a request in either form; a bearer token goes before the api-key header."""
    key = bearer(request)
    return api_key(request) if key is None else key


OPENAI = Profile(
    name="openai",
    base_path="/v1",
    below=re.compile(r"/v1(?=/|\Z)"),
    key=bearer,
    wants_beta=True,
    lists_threads=False,
)

# Microsoft Foundry Agents (classic). Read from its client and its documents: the paths, the list of threads, the
# bearer token, no beta header. The api-key header is inferred from Azure's other services.
FOUNDRY = Profile(
    name="foundry",
    base_path="/api/projects/fake",
    below=re.compile(r"/api/projects/[^/]+(?=/|\Z)"),
    key=anyones_key,
    wants_beta=False,
    lists_threads=True,
)

PROFILES: Mapping[str, Profile] = {profile.name: profile for profile in (OPENAI, FOUNDRY)}
