"""Export the threads of OpenAI's Assistants API to NDJSON, complete and unchanged, and use what was saved.

A thin typed adapter over the official ``openai`` SDK. Each call does what the command of its name does.

====================================  ================================================================================
`export`, `aexport`                   save a list of threads; the same call again resumes
`status`, `write`                     say how far an export is; write what a run that was cut off has fetched
`validate`, `validate_live`           prove an export, by itself or against the API
`read`                                open an export: its records, its threads, what was saved with them
`iter_messages`, `aiter_messages`     yield the records of one thread through your own client
`from_message`, `encode`, `decode`    map the SDK's messages to frozen records, and records to lines and back
`convert`, `push`, `apush`            write an export in another format; send it to another API
`open_history`, `Conversation`        keep a chat history across processes; carry a conversation on
====================================  ================================================================================

Everything that is raised on purpose is a `ThreadkeepError`.
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
from threadkeep.records.mapping import SdkModel, from_message, from_message_json, to_message_json
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
    from threadkeep.api.endpoints import ApiSource, Auth
    from threadkeep.api.keys import Key
    from threadkeep.api.messages import aiter_messages, iter_messages
    from threadkeep.api.rate_control import Traffic
    from threadkeep.conversion.entrypoints import Converted, convert
    from threadkeep.conversion.formats.chat import to_chat_messages
    from threadkeep.conversion.formats.items import to_response_items
    from threadkeep.conversion.job import Citations, FormatName, Unsupported
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
    from threadkeep.migration.entrypoints import TargetKind, apush, push
    from threadkeep.migration.events import ConversationVerified, PushBegun, PushEvent, ThreadPushed, VerificationBegun
    from threadkeep.migration.job import PushResult
    from threadkeep.migration.planning import PushPlan
    from threadkeep.migration.targets import PushTarget
    from threadkeep.serialization.given_ids import GivenIds
    from threadkeep.storage.index import DownloadOutcome, DownloadRow, IndexHeader, IndexRow, Outcome, Span
    from threadkeep.storage.lock import LockHolder
    from threadkeep.storage.manifest import FileClaim, Manifest, Totals
    from threadkeep.storage.paths import Paths
    from threadkeep.storage.progress import ExportState, status
    from threadkeep.storage.reader import Export, ExportedThread, ThreadRecords, read
    from threadkeep.storage.session import InvalidId, write
    from threadkeep.storage.store import Progress, StoreFacts
    from threadkeep.validation.entrypoints import validate
    from threadkeep.validation.findings import Finding, Severity
    from threadkeep.validation.live_entrypoints import ThreadCompared, avalidate_live, validate_live
    from threadkeep.validation.report import LineTotals, Live, ValidationReport

    __version__: str

__all__ = [
    "AccessRefused",
    "Annotation",
    "ApiError",
    "ApiGone",
    "ApiSource",
    "AsyncReplyStream",
    "Auth",
    "BadPage",
    "Citations",
    "Conversation",
    "ConversationVerified",
    "Converted",
    "DownloadOutcome",
    "DownloadRow",
    "Event",
    "Export",
    "ExportResult",
    "ExportState",
    "ExportedThread",
    "ExtraMissing",
    "FileCitation",
    "FileClaim",
    "FilePath",
    "FilesBegun",
    "Finding",
    "FlatRecord",
    "FormatName",
    "GivenIds",
    "History",
    "HistoryDamaged",
    "HistoryUnusable",
    "IdRefused",
    "ImageFilePart",
    "ImagePart",
    "ImageUrlPart",
    "IndexHeader",
    "IndexRow",
    "Interrupted",
    "InvalidId",
    "Key",
    "LineTotals",
    "ListingRefused",
    "Live",
    "LockHolder",
    "Loss",
    "MalformedAddress",
    "MalformedLine",
    "MalformedMessage",
    "Manifest",
    "MessageRecord",
    "Notice",
    "OtherExport",
    "Outcome",
    "OutputUnusable",
    "Part",
    "Paths",
    "Progress",
    "PushBegun",
    "PushEvent",
    "PushPlan",
    "PushResult",
    "PushTarget",
    "QuotaSpent",
    "RateLimited",
    "RefusalPart",
    "Repaired",
    "Reply",
    "ReplyStream",
    "RequestFailed",
    "RunEnded",
    "SdkModel",
    "ServerUnreachable",
    "Session",
    "SessionInfo",
    "Severity",
    "Span",
    "StoreFacts",
    "TargetKind",
    "TextPart",
    "ThreadCompared",
    "ThreadConverted",
    "ThreadEnded",
    "ThreadMissing",
    "ThreadPushed",
    "ThreadRecords",
    "ThreadkeepError",
    "ThreadsBegun",
    "Totals",
    "Traffic",
    "Trimmed",
    "UnknownAnnotation",
    "UnknownPart",
    "UnreadableIds",
    "UnreadableKeys",
    "Unsupported",
    "ValidationReport",
    "VerificationBegun",
    "WrongAddress",
    "__version__",
    "aexport",
    "aiter_messages",
    "apush",
    "avalidate_live",
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
    "validate_live",
    "write",
]

if not TYPE_CHECKING:  # a checker that sees __getattr__ takes any misspelt name
    _LATER = {
        "api.endpoints": ("ApiSource", "Auth"),
        "api.keys": ("Key",),
        "api.messages": ("aiter_messages", "iter_messages"),
        "api.rate_control": ("Traffic",),
        "conversion.entrypoints": ("Converted", "convert"),
        "conversion.formats.chat": ("to_chat_messages",),
        "conversion.formats.items": ("to_response_items",),
        "conversion.job": ("Citations", "FormatName", "Unsupported"),
        "conversion.losses": ("Loss",),
        "conversion.source": ("ThreadConverted",),
        "exporter.entrypoints": ("ExportResult", "aexport", "export"),
        "exporter.events": ("Event", "FilesBegun", "Notice", "ThreadEnded", "ThreadsBegun"),
        "history.conversation": ("AsyncReplyStream", "Conversation", "Reply", "ReplyStream"),
        "history.counting.tokens": ("count_tokens",),
        "history.entrypoints": ("copy_history", "delete_session", "list_sessions", "open_history", "recover"),
        "history.repairing": ("Repaired", "repair"),
        "history.session": ("History", "Session", "SessionInfo"),
        "history.trimmed": ("Trimmed",),
        "history.trimming": ("trim",),
        "migration.entrypoints": ("TargetKind", "apush", "push"),
        "migration.events": ("ConversationVerified", "PushBegun", "PushEvent", "ThreadPushed", "VerificationBegun"),
        "migration.job": ("PushResult",),
        "migration.planning": ("PushPlan",),
        "migration.targets": ("PushTarget",),
        "serialization.given_ids": ("GivenIds",),
        "storage.index": ("DownloadOutcome", "DownloadRow", "IndexHeader", "IndexRow", "Outcome", "Span"),
        "storage.lock": ("LockHolder",),
        "storage.manifest": ("FileClaim", "Manifest", "Totals"),
        "storage.paths": ("Paths",),
        "storage.progress": ("ExportState", "status"),
        "storage.reader": ("Export", "ExportedThread", "ThreadRecords", "read"),
        "storage.session": ("InvalidId", "write"),
        "storage.store": ("Progress", "StoreFacts"),
        "validation.entrypoints": ("validate",),
        "validation.findings": ("Finding", "Severity"),
        "validation.live_entrypoints": ("ThreadCompared", "avalidate_live", "validate_live"),
        "validation.report": ("LineTotals", "Live", "ValidationReport"),
    }

    def __getattr__(name: str) -> Any:
        """Import the export and the validation when a name of theirs is used: records need none of their libraries."""
        if name == "__version__":  # reading what is installed takes longer than all else here
            return import_module("importlib.metadata").version("threadkeep")
        for module, names in _LATER.items():
            if name in names:
                return getattr(import_module(f"threadkeep.{module}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
