"""Protect the control API against web pages in a browser.

A page sends an Origin header with every request that changes something. With DNS rebinding, where the page's own name
is pointed at this machine, it would not need one, but then the Host header has that name.
"""

from collections.abc import Iterable

import fake_assistants.errors.control as refusals
from fake_assistants.http.error_envelope import ErrorBody
from fake_assistants.http.hosts import hostname, is_loopback, is_same
from fake_assistants.http.message import CONTROL_PREFIX, Request


def refusal(request: Request, own_hosts: Iterable[str]) -> ErrorBody | None:
    """Return the error for a control request that is not allowed; None for any other request.

    `own_hosts` are the names and addresses of the server. Browsers always send a Host header, so a request without one
    is allowed.
    """
    if not request.path.startswith(CONTROL_PREFIX):
        return None
    if "origin" in request.headers:
        return refusals.from_a_web_page()
    host = request.headers.get("host")
    return None if host is None or _is_own(host, own_hosts) else refusals.foreign_host()


def _is_own(host: str, own_hosts: Iterable[str]) -> bool:
    name = hostname(host)
    return name is not None and (is_loopback(name) or any(is_same(name, own) for own in own_hosts))
