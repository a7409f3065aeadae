"""A fake of OpenAI's Assistants API, for tests without the real one.

`FakeAssistants` answers requests in process (`handle`), through a transport, mounted for every client of the process,
as an ASGI app, or as a real server.
"""

from fake_assistants.adapters.server_address import Server
from fake_assistants.demo import demo_world
from fake_assistants.fake import FakeAssistants, FakeAssistantsServer
from fake_assistants.http.message import Reply, Request
from fake_assistants.simulation.clock import Clock
from fake_assistants.simulation.request_log import Entry, Requests
from fake_assistants.simulation.sunset import SunsetPlan
from fake_assistants.store.ids import IdSource
from fake_assistants.user_input import BadInput

__all__ = [
    "BadInput",
    "Clock",
    "Entry",
    "FakeAssistants",
    "FakeAssistantsServer",
    "IdSource",
    "Reply",
    "Request",
    "Requests",
    "Server",
    "SunsetPlan",
    "demo_world",
]

__version__ = "0.1.0"
