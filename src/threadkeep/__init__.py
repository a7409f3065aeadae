"""threadkeep: keep the threads of OpenAI's Assistants API, whole and unharmed.

A thin typed adapter over the official ``openai`` SDK. `from_message` maps the SDK's messages to frozen records,
`encode` and `decode` carry records to NDJSON lines and back; `export` and `aexport` save whole lists of threads, and
`validate` proves what they saved, as the ``threadkeep`` command does.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from threadkeep.errors import (
    FlatRecord,
    MalformedLine,
    MalformedMessage,
    ThreadkeepError,
)
from threadkeep.records.mapping import from_message, from_message_json, to_message_json
from threadkeep.records.model import (
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
from threadkeep.records.ndjson import decode, encode, to_flat

if TYPE_CHECKING:
    from threadkeep.exporter.entrypoints import ExportResult, aexport, export
    from threadkeep.validation.entrypoints import validate
    from threadkeep.validation.findings import Finding, Severity
    from threadkeep.validation.report import ValidationReport

__all__ = [
    "Annotation",
    "ExportResult",
    "FileCitation",
    "FilePath",
    "Finding",
    "FlatRecord",
    "ImageFilePart",
    "ImagePart",
    "ImageUrlPart",
    "MalformedLine",
    "MalformedMessage",
    "MessageRecord",
    "Part",
    "RefusalPart",
    "Severity",
    "TextPart",
    "ThreadkeepError",
    "UnknownAnnotation",
    "UnknownPart",
    "ValidationReport",
    "__version__",
    "aexport",
    "decode",
    "encode",
    "export",
    "from_message",
    "from_message_json",
    "to_flat",
    "to_message_json",
    "validate",
]

__version__ = version("threadkeep")

_LATER = {
    "ExportResult": "exporter.entrypoints",
    "Finding": "validation.findings",
    "Severity": "validation.findings",
    "ValidationReport": "validation.report",
    "aexport": "exporter.entrypoints",
    "export": "exporter.entrypoints",
    "validate": "validation.entrypoints",
}


def __getattr__(name: str) -> Any:
    """Import the export and its proof where they are first asked for: records need none of what they stand on."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"threadkeep.{_LATER[name]}"), name)
