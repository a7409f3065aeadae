"""threadkeep: export the threads of OpenAI's Assistants API, complete and unchanged.

A thin typed adapter over the official ``openai`` SDK. `from_message` maps the SDK's messages to frozen records,
`encode` and `decode` carry records to NDJSON lines and back; `export` and `aexport` save whole lists of threads, and
`validate` proves what they saved, as the ``threadkeep`` command does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from threadkeep.errors import (
    AccessRefused,
    ApiError,
    ApiGone,
    BadPage,
    ExtraMissing,
    FlatRecord,
    HistoryDamaged,
    HistoryUnusable,
    IdRefused,
    Interrupted,
    ListingRefused,
    MalformedAddress,
    MalformedLine,
    MalformedMessage,
    OtherExport,
    OutputUnusable,
    QuotaSpent,
    RateLimited,
    RequestFailed,
    RunEnded,
    ServerUnreachable,
    ThreadkeepError,
    ThreadMissing,
    UnreadableIds,
    UnreadableKeys,
    WrongAddress,
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
    from threadkeep.api.messages import aiter_messages, iter_messages
    from threadkeep.conversion.entrypoints import Converted, convert
    from threadkeep.conversion.formats.chat import to_chat_messages
    from threadkeep.conversion.formats.items import to_response_items
    from threadkeep.conversion.losses import Loss
    from threadkeep.conversion.source import ThreadConverted
    from threadkeep.exporter.entrypoints import ExportResult, aexport, export
    from threadkeep.exporter.events import Event, FilesBegun, Notice, ThreadEnded, ThreadsBegun
    from threadkeep.history.conversation import AsyncReplyStream, Conversation, Reply, ReplyStream
    from threadkeep.history.counting.tokens import count_tokens
    from threadkeep.history.entrypoints import copy_history, delete_session, list_sessions, open_history, recover
    from threadkeep.history.repairing import Repaired, repair
    from threadkeep.history.session import History, Session, SessionInfo
    from threadkeep.history.trimmed import Trimmed
    from threadkeep.history.trimming import trim
    from threadkeep.migration.entrypoints import apush, push
    from threadkeep.migration.events import (
        ConversationVerified,
        PushBegun,
        PushEvent,
        ThreadPushed,
        VerificationBegun,
    )
    from threadkeep.migration.job import PushResult
    from threadkeep.migration.planning import PushPlan
    from threadkeep.storage.index import DownloadRow, Outcome
    from threadkeep.storage.progress import ExportState, status
    from threadkeep.storage.reader import Export, ExportedThread, read
    from threadkeep.storage.session import write
    from threadkeep.validation.entrypoints import validate
    from threadkeep.validation.findings import Finding, Severity
    from threadkeep.validation.report import ValidationReport

    __version__: str

__all__ = [
    "AccessRefused",
    "Annotation",
    "ApiError",
    "ApiGone",
    "AsyncReplyStream",
    "BadPage",
    "Conversation",
    "ConversationVerified",
    "Converted",
    "DownloadRow",
    "Event",
    "Export",
    "ExportResult",
    "ExportState",
    "ExportedThread",
    "ExtraMissing",
    "FileCitation",
    "FilePath",
    "FilesBegun",
    "Finding",
    "FlatRecord",
    "History",
    "HistoryDamaged",
    "HistoryUnusable",
    "IdRefused",
    "ImageFilePart",
    "ImagePart",
    "ImageUrlPart",
    "Interrupted",
    "ListingRefused",
    "Loss",
    "MalformedAddress",
    "MalformedLine",
    "MalformedMessage",
    "MessageRecord",
    "Notice",
    "OtherExport",
    "Outcome",
    "OutputUnusable",
    "Part",
    "PushBegun",
    "PushEvent",
    "PushPlan",
    "PushResult",
    "QuotaSpent",
    "RateLimited",
    "RefusalPart",
    "Repaired",
    "Reply",
    "ReplyStream",
    "RequestFailed",
    "RunEnded",
    "ServerUnreachable",
    "Session",
    "SessionInfo",
    "Severity",
    "TextPart",
    "ThreadConverted",
    "ThreadEnded",
    "ThreadMissing",
    "ThreadPushed",
    "ThreadkeepError",
    "ThreadsBegun",
    "Trimmed",
    "UnknownAnnotation",
    "UnknownPart",
    "UnreadableIds",
    "UnreadableKeys",
    "ValidationReport",
    "VerificationBegun",
    "WrongAddress",
    "__version__",
    "aexport",
    "aiter_messages",
    "apush",
    "convert",
    "copy_history",
    "count_tokens",
    "decode",
    "delete_session",
    "encode",
    "export",
    "from_message",
    "from_message_json",
    "iter_messages",
    "list_sessions",
    "open_history",
    "push",
    "read",
    "recover",
    "repair",
    "status",
    "to_chat_messages",
    "to_flat",
    "to_message_json",
    "to_response_items",
    "trim",
    "validate",
    "write",
]

if not TYPE_CHECKING:  # a checker that sees __getattr__ takes any misspelt name
    _LATER = {
        "api.messages": ("aiter_messages", "iter_messages"),
        "conversion.entrypoints": ("Converted", "convert"),
        "conversion.formats.chat": ("to_chat_messages",),
        "conversion.formats.items": ("to_response_items",),
        "conversion.losses": ("Loss",),
        "conversion.source": ("ThreadConverted",),
        "exporter.entrypoints": ("ExportResult", "aexport", "export"),
        "history.conversation": ("AsyncReplyStream", "Conversation", "Reply", "ReplyStream"),
        "history.entrypoints": ("copy_history", "delete_session", "list_sessions", "open_history", "recover"),
        "history.repairing": ("Repaired", "repair"),
        "history.session": ("History", "Session", "SessionInfo"),
        "history.counting.tokens": ("count_tokens",),
        "history.trimming": ("trim",),
        "history.trimmed": ("Trimmed",),
        "exporter.events": ("Event", "FilesBegun", "Notice", "ThreadEnded", "ThreadsBegun"),
        "migration.entrypoints": ("apush", "push"),
        "migration.events": ("ConversationVerified", "PushBegun", "PushEvent", "ThreadPushed", "VerificationBegun"),
        "migration.job": ("PushResult",),
        "migration.planning": ("PushPlan",),
        "storage.index": ("DownloadRow", "Outcome"),
        "storage.progress": ("ExportState", "status"),
        "storage.reader": ("Export", "ExportedThread", "read"),
        "storage.session": ("write",),
        "validation.entrypoints": ("validate",),
        "validation.findings": ("Finding", "Severity"),
        "validation.report": ("ValidationReport",),
    }

    def __getattr__(name: str) -> Any:
        """Import the export and the validation when a name of theirs is used: records need none of their libraries."""
        if name == "__version__":  # reading what is installed takes longer than all else here
            return import_module("importlib.metadata").version("threadkeep")
        for module, names in _LATER.items():
            if name in names:
                return getattr(import_module(f"threadkeep.{module}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
