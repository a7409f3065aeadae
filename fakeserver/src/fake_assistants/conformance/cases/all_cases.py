"""Every case, area by area."""

import fake_assistants.conformance.cases.assistants as assistants
import fake_assistants.conformance.cases.azure as azure
import fake_assistants.conformance.cases.control as control
import fake_assistants.conformance.cases.conversations as conversations
import fake_assistants.conformance.cases.errors as errors
import fake_assistants.conformance.cases.files as files
import fake_assistants.conformance.cases.messages as messages
import fake_assistants.conformance.cases.paging as paging
import fake_assistants.conformance.cases.runs as runs
import fake_assistants.conformance.cases.steps as steps
import fake_assistants.conformance.cases.streaming as streaming
import fake_assistants.conformance.cases.sunset as sunset
import fake_assistants.conformance.cases.threads as threads
import fake_assistants.conformance.cases.tools as tools
import fake_assistants.conformance.cases.validation as validation
import fake_assistants.conformance.cases.wire as wire
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
    *azure.CASES,
    *sunset.CASES,
    *control.CASES,
)
