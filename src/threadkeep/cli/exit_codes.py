"""Exit codes, and what each error means for the person at the screen."""

from enum import IntEnum

from threadkeep.errors import (
    AccessRefused,
    ApiGone,
    Interrupted,
    ListingRefused,
    MalformedAddress,
    OutputUnusable,
    QuotaSpent,
    ServerUnreachable,
    ThreadkeepError,
    UnreadableIds,
    UnreadableKeys,
    WrongAddress,
)

__all__ = ["Exit", "exit_for"]


class Exit(IntEnum):
    """How a command ended; scripts are written against these."""

    WHOLE = 0
    INCOMPLETE = 1
    USAGE = 2
    GONE = 3
    REFUSED = 4
    OUTPUT = 5
    INTERRUPTED = 130


_EXITS: dict[type[ThreadkeepError], tuple[Exit, str]] = {
    ApiGone: (
        Exit.GONE,
        "What was complete is in the export; pages of threads that were cut off are in the .partial file beside it.",
    ),
    WrongAddress: (
        Exit.GONE,
        "Check --base-url or OPENAI_BASE_URL, which end where /threads begins, and --api-version on Azure.",
    ),
    AccessRefused: (
        Exit.REFUSED,
        "Check the key (OPENAI_API_KEY, on Azure AZURE_OPENAI_API_KEY, or --keys-file), or the token (on Foundry"
        " AZURE_AI_TOKEN, or --token-command), and what it is allowed to do.",
    ),
    QuotaSpent: (Exit.REFUSED, "Wait for the quota to be renewed, raise it, or use another key."),
    ListingRefused: (
        Exit.REFUSED,
        "Take the ids from where your application keeps them. OpenAI's API never listed threads; Microsoft Foundry"
        " Agents (classic) does.",
    ),
    ServerUnreachable: (Exit.INCOMPLETE, "Check the address and the network."),
    MalformedAddress: (Exit.USAGE, "Give --base-url or OPENAI_BASE_URL as https://host/v1."),
    UnreadableKeys: (
        Exit.USAGE,
        "Give a text file with one key a line, and behind it project=... or organization=... where needed.",
    ),
    UnreadableIds: (Exit.USAGE, "Give a text file with one thread id a line."),
    OutputUnusable: (Exit.OUTPUT, ""),
    Interrupted: (Exit.INTERRUPTED, "What was complete is in the export."),
}


def exit_for(error: ThreadkeepError) -> tuple[Exit, str]:
    """Give the code and the next step for an error that ended a command."""
    return _EXITS.get(type(error), (Exit.INCOMPLETE, ""))
