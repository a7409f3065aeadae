"""Who may call the control API over HTTP: nobody whom a web page in a browser could stand behind.

A page sends an Origin header with whatever changes something. With a name of its own that it has pointed to this
machine (DNS rebinding) it would need none, but the Host header carries that name.
"""

from collections.abc import Iterable

import fake_assistants.errors.control as refusals
from fake_assistants.http.error_envelope import ErrorBody
from fake_assistants.http.hosts import hostname, is_loopback, is_same
from fake_assistants.http.message import CONTROL_PREFIX, Request


def refusal(request: Request, own_hosts: Iterable[str]) -> ErrorBody | None:
    """The refusal of a control request; None for one that is allowed, and for every other request.

    `own_hosts` are the names and addresses of the server. A request without a Host header comes from no browser.
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
