"""threadkeep: keep the threads of OpenAI's Assistants API, whole and unharmed.

A thin typed adapter over the official ``openai`` SDK. `from_message` maps the SDK's messages to frozen records,
`encode` and `decode` carry records to NDJSON lines and back; `export` and `aexport` save whole lists of threads, as the
``threadkeep`` command does, which validates them too.
"""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from threadkeep.codec import decode, encode, to_flat
from threadkeep.errors import (
    FlatRecord,
    MalformedLine,
    MalformedMessage,
    ThreadkeepError,
)
from threadkeep.mapping import from_message, from_message_json, to_message_json
from threadkeep.records import (
    Annotation,
    FileCitation,
    FilePath,
    ImageFilePart,
    ImagePart,
    ImageUrlPart,
    MessageRecord,
    Part,
    RefusalPart,
    TextPart,
    UnknownAnnotation,
    UnknownPart,
)

if TYPE_CHECKING:
    from threadkeep.library import ExportResult, aexport, export

__all__ = [
    "Annotation",
    "ExportResult",
    "FileCitation",
    "FilePath",
    "FlatRecord",
    "ImageFilePart",
    "ImagePart",
    "ImageUrlPart",
    "MalformedLine",
    "MalformedMessage",
    "MessageRecord",
    "Part",
    "RefusalPart",
    "TextPart",
    "ThreadkeepError",
    "UnknownAnnotation",
    "UnknownPart",
    "__version__",
    "aexport",
    "decode",
    "encode",
    "export",
    "from_message",
    "from_message_json",
    "to_flat",
    "to_message_json",
]

__version__ = version("threadkeep")

_LATER = ("ExportResult", "aexport", "export")


def __getattr__(name: str) -> Any:
    """Import the export where it is first asked for: records need none of what it stands on."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from threadkeep import library

    return getattr(library, name)
