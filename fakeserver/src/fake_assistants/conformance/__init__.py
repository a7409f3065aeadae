"""The conformance suite: the known behaviour of the real Assistants API, as checks of any compatible server.

    python -m fake_assistants.conformance --base-url http://127.0.0.1:8000/v1

From Python, over anything that takes a Request and returns a Reply:

    results = run(fake.handle)
    results = run(HttpPort("http://127.0.0.1:8000/v1"))  # fake_assistants.conformance.http_client
"""

from fake_assistants.conformance.api import Api, Port, Setting
from fake_assistants.conformance.case import Case, Result
from fake_assistants.conformance.cases.all_cases import CASES
from fake_assistants.conformance.expectations import Deviation, Found, NotApplicable, Unreachable
from fake_assistants.conformance.suite import NoSuchCase, NotTheApi, run

__all__ = [
    "CASES",
    "Api",
    "Case",
    "Deviation",
    "Found",
    "NoSuchCase",
    "NotApplicable",
    "NotTheApi",
    "Port",
    "Result",
    "Setting",
    "Unreachable",
    "run",
]
