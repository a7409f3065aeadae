"""threadkeep: keep the threads of OpenAI's Assistants API, whole and unharmed.

A thin typed adapter over the official ``openai`` SDK. `from_message` maps the SDK's messages to frozen records,
`encode` and `decode` carry records to NDJSON lines and back, and the ``threadkeep`` command exports and validates
whole lists of threads.
"""

from importlib.metadata import version

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

__all__ = [
    "Annotation",
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
    "decode",
    "encode",
    "from_message",
    "from_message_json",
    "to_flat",
    "to_message_json",
]

__version__ = version("threadkeep")
