"""Every case, area by area."""

import fake_assistants.conformance.assistants as assistants
import fake_assistants.conformance.control as control
import fake_assistants.conformance.conversations as conversations
import fake_assistants.conformance.errors as errors
import fake_assistants.conformance.files as files
import fake_assistants.conformance.messages as messages
import fake_assistants.conformance.paging as paging
import fake_assistants.conformance.runs as runs
import fake_assistants.conformance.steps as steps
import fake_assistants.conformance.streaming as streaming
import fake_assistants.conformance.sunset as sunset
import fake_assistants.conformance.threads as threads
import fake_assistants.conformance.tools as tools
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
    *runs.CASES,
    *steps.CASES,
    *tools.CASES,
    *streaming.CASES,
    *files.CASES,
    *conversations.CASES,
    *sunset.CASES,
    *control.CASES,
)
