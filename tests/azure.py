"""Azure OpenAI and Foundry on loopback: an HTTP proxy that answers in the place of their hosts.

A client that is told to use it as its proxy asks it for ``http://res.openai.azure.com/...`` over a real socket, so that
the address decides as it would for the real one. Behind it stand two fakes.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs

from fake_assistants import FakeAssistants, Reply, Request

__all__ = ["AZURE_HOST", "FOUNDRY_HOST", "Asked", "Azure", "serving"]

AZURE_HOST = "res.openai.azure.com"
FOUNDRY_HOST = "res.services.ai.azure.com"

# As Azure words them (quoted).
_REFUSED = "Access denied due to invalid subscription key or wrong API endpoint."
_NO_ROUTE = "Resource not found"
_NO_VERSION = "API version not supported"


@attrs.frozen
class Asked:
    """What one request carried, but for its paging."""

    host: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]


class Azure:
    """Both services, with the keys and tokens that each takes, and the versions that it knows."""

    def __init__(self, world: Any) -> None:
        self.openai, self.foundry = FakeAssistants(), FakeAssistants(profile="foundry")
        for fake in (self.openai, self.foundry):
            fake.load(world)
        self.taken = {"azure-key", "entra-token"}
        self.versions = {"2024-05-01-preview", "v1"}
        self.asked: list[Asked] = []
        self.led_to: str | None = None

    def answer(self, url: str, headers: dict[str, str]) -> tuple[int, bytes]:
        """Answer one GET."""
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.asked.append(Asked(str(parts.hostname), parts.path, query, headers))
        if self.led_to is not None and str(parts.hostname) not in self.led_to:
            return _error(307, "It is elsewhere.")
        sent = headers.get("api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        if sent not in self.taken:
            return _error(401, f"{_REFUSED} {sent}")
        if query.get("api-version") not in self.versions:
            return _error(400, _NO_VERSION)
        reply = self._handled(str(parts.hostname), parts.path, parts.query)
        return _error(404, _NO_ROUTE) if reply is None else (reply.status, reply.body)

    def _handled(self, host: str, path: str, query: str) -> Reply | None:
        headers = {"authorization": "Bearer any", "openai-beta": "assistants=v2"}
        if host == FOUNDRY_HOST and path.startswith("/api/projects/"):
            return self.foundry.handle(Request.of("GET", f"{path}?{query}", headers))
        if host == AZURE_HOST and path.startswith("/openai/"):
            below = path.removeprefix("/openai").removeprefix("/v1")
            return self.openai.handle(Request.of("GET", f"/v1{below}?{query}", headers))
        return None


def _error(status: int, message: str) -> tuple[int, bytes]:
    return status, json.dumps({"error": {"code": str(status), "message": message}}).encode()


@contextmanager
def serving(azure: Azure) -> Iterator[str]:
    """Serve on a free port, and give the address for ``http_proxy``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, body = azure.answer(self.path, headers)
            self.send_response(status)
            if status == 307:
                self.send_header("location", str(azure.led_to))
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
