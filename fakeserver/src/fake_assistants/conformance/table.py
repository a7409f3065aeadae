"""Every case, area by area."""

import fake_assistants.conformance.assistants as assistants
import fake_assistants.conformance.errors as errors
import fake_assistants.conformance.messages as messages
import fake_assistants.conformance.paging as paging
import fake_assistants.conformance.sunset as sunset
import fake_assistants.conformance.threads as threads
import fake_assistants.conformance.validation as validation
import fake_assistants.conformance.wire as wire
from fake_assistants.conformance.case import Case

CASES: tuple[Case, ...] = (
    *wire.CASES,
    *assistants.CASES,
    *threads.CASES,
    *messages.CASES,
    *paging.CASES,
    *errors.CASES,
    *validation.CASES,
    *sunset.CASES,
)
