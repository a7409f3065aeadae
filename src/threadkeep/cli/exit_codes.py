"""Exit codes, and what each error means for the person at the screen."""

from enum import IntEnum

from threadkeep import errors

__all__ = ["Exit", "exit_for"]


class Exit(IntEnum):
    """How a command ended; scripts are written against these."""

    COMPLETE = 0
    INCOMPLETE = 1
    USAGE = 2
    GONE = 3
    REFUSED = 4
    OUTPUT = 5
    INTERRUPTED = 130


_UNREACHABLE = "Check the address and the network."

_EXITS: dict[type[errors.ThreadkeepError], tuple[Exit, str]] = {
    errors.ApiGone: (Exit.GONE, ""),
    errors.WrongAddress: (
        Exit.USAGE,
        "Check --base-url or OPENAI_BASE_URL, which end where /threads begins (on Azure --api-version too).",
    ),
    errors.AccessRefused: (Exit.REFUSED, ""),
    errors.QuotaSpent: (Exit.REFUSED, "Wait for the quota to be renewed, raise it, or use another key."),
    errors.ListingRefused: (
        Exit.REFUSED,
        "Take the ids from where your application keeps them. OpenAI's API never listed threads; Microsoft Foundry"
        " Agents (classic) does.",
    ),
    errors.ServerUnreachable: (Exit.INCOMPLETE, _UNREACHABLE),
    errors.MalformedAddress: (
        Exit.USAGE,
        "Give --base-url, or OPENAI_BASE_URL, as https://host/v1; of Engramia ENGRAMIA_API_URL.",
    ),
    errors.UnreadableKeys: (
        Exit.USAGE,
        "Give a text file with one key a line, and behind it project=... or organization=... where needed.",
    ),
    errors.UnreadableIds: (
        Exit.USAGE,
        "Give a list of thread ids: one a line, CSV or TSV with a column thread_id, a JSON array, or NDJSON.",
    ),
    errors.ExtraMissing: (Exit.USAGE, ""),
    errors.OutputUnusable: (Exit.OUTPUT, ""),
    errors.OtherExport: (
        Exit.OUTPUT,
        "Use the same, or choose another OUT; --fresh begins anew and keeps the old files under another name.",
    ),
    errors.HistoryUnusable: (Exit.OUTPUT, ""),
    errors.HistoryDamaged: (Exit.OUTPUT, ""),
    errors.MalformedLine: (Exit.OUTPUT, "`threadkeep validate` finds every line that is no message of an export."),
    errors.Interrupted: (Exit.INTERRUPTED, ""),
}


def exit_for(error: errors.ThreadkeepError) -> tuple[Exit, str]:
    """Return the code and the next step for an error that ended a command, by the nearest of its classes."""
    if isinstance(error, errors.AccessRefused) and error.variables:
        places = f"{', '.join((*error.variables, '--keys-file'))} or --token-command"
        return Exit.REFUSED, f"Check the key or token ({places}), and what it is allowed to do."
    if isinstance(error, errors.RequestFailed) and error.unreachable:
        return Exit.INCOMPLETE, _UNREACHABLE
    found = (_EXITS[kind] for kind in type(error).__mro__ if kind in _EXITS)
    return next(found, (Exit.INCOMPLETE, ""))
