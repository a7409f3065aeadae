"""What each error means for a script, and what is said of a key that the server refuses."""

import pytest

from threadkeep.api.endpoints import Api, variables_of
from threadkeep.cli.exit_codes import Exit, exit_for
from threadkeep.errors import AccessRefused, ApiGone, OtherExport, OutputUnusable, RunEnded, ThreadkeepError
from threadkeep.scale.object_store import ObjectDamaged, ObjectMissing

PROJECT = "https://r.services.ai.azure.com/api/projects/p"


@pytest.mark.parametrize(
    ("address", "api", "places"),
    [
        ("https://api.openai.com/v1", Api.ASSISTANTS, "OPENAI_API_KEY"),
        ("http://127.0.0.1:8000/v1", Api.ASSISTANTS, "OPENAI_API_KEY"),
        (PROJECT, Api.ASSISTANTS, "AZURE_AI_TOKEN, OPENAI_API_KEY"),
        (f"{PROJECT}/openai/v1", Api.CONVERSATIONS, "AZURE_AI_TOKEN, OPENAI_API_KEY"),
        (
            "https://r.openai.azure.com/openai",
            Api.ASSISTANTS,
            "AZURE_OPENAI_AD_TOKEN, AZURE_OPENAI_API_KEY, OPENAI_API_KEY",
        ),
        ("http://127.0.0.1:8000/v1", Api.ENGRAMIA, "ENGRAMIA_API_KEY"),
    ],
)
def test_the_places_of_a_key_are_those_of_its_address(address: str, api: Api, places: str) -> None:
    """No others are named."""
    refused = AccessRefused(f"401 from {address}")
    refused.variables = variables_of(address, api)
    words = f"Check the key or token ({places}, --keys-file or --token-command), and what it is allowed to do."
    assert exit_for(refused) == (Exit.REFUSED, words)


def test_an_address_of_which_nothing_is_known_has_no_places() -> None:
    """Nor an error that says itself what is missing: then there is no second sentence."""
    assert variables_of("https://r.services.ai.azure.com/elsewhere", Api.ASSISTANTS) == ()
    assert exit_for(AccessRefused("no key: set OPENAI_API_KEY")) == (Exit.REFUSED, "")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OutputUnusable, Exit.OUTPUT),
        (ObjectDamaged, Exit.OUTPUT),
        (ObjectMissing, Exit.OUTPUT),
        (OtherExport, Exit.OUTPUT),
        (ApiGone, Exit.GONE),
        (RunEnded, Exit.INCOMPLETE),
        (ThreadkeepError, Exit.INCOMPLETE),
    ],
)
def test_the_nearest_class_counts(error: type[ThreadkeepError], code: Exit) -> None:
    """An error without a code of its own has that of the class that it is a case of."""
    assert exit_for(error("something"))[0] is code
