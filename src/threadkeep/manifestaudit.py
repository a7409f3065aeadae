"""The manifest of an export, held against its journal, or against its lines where there is no journal."""

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any

import attrs

from threadkeep.journal import Journal
from threadkeep.serialization.json_diff import differences
from threadkeep.storage.manifest import Manifest, claims, digest_of_digests, files, not_whole, unfinished_files
from threadkeep.validation.findings import Finding, finding
from threadkeep.validation.report import Totals
from threadkeep.vouchers import Vouchers

__all__ = ["against_journal", "against_lines"]


def against_journal(name: str, vouchers: Vouchers, journal: Journal) -> Iterator[Finding]:
    """Say where a manifest is not what its journal says.

    Args:
        name: of the manifest's file.
        vouchers: with the manifest, if there is one.
        journal: the journal.
    """
    manifest = vouchers.manifest
    if manifest is not None:
        counted = _said(journal, manifest)
        claimed = {field: _plain(value) for field, value in _claimed(manifest).items() if field in counted}
        headed = _headed(journal, manifest)
        for path in differences(claimed, counted):
            what = "the manifest does not say what the journal says"
            remedy = _OF_THE_HEADER if path in headed else None
            yield finding("manifest_mismatch", what, remedy, file=name, path=path)
        if journal.header is not None and not journal.header.files and journal.files:
            what = "the journal tells of downloaded files, and its header says that none are downloaded"
            yield finding("manifest_mismatch", what, _OF_THE_HEADER, file=name, path="$.files")
    elif vouchers.manifest_fault is None:
        what = "there is no manifest: the run did not end by itself, and threads may be left that it never reached"
        yield finding("unfinished_run", what, file=name)


def against_lines(
    name: str, vouchers: Vouchers, totals: Totals, digests: Iterable[tuple[str, str | None]]
) -> Iterator[Finding]:
    """Say where a manifest whose journal is gone is not what the export's lines say.

    Args:
        name: of the manifest's file.
        vouchers: with the manifest, if it can be read.
        totals: of the lines.
        digests: of each thread's lines, by its id.
    """
    if vouchers.manifest is None:
        return
    said = vouchers.manifest.claims
    claimed = {"totals": {"messages": said.totals.messages, "bytes": said.totals.bytes}, "digest": said.digest}
    found = {"totals": {"messages": totals.messages, "bytes": totals.bytes}, "digest": digest_of_digests(digests)}
    for path in differences(claimed, found):
        what = "the manifest does not say what the export's lines say"
        yield finding("manifest_mismatch", what, file=name, path=path)


# What a manifest has from the journal, and what from its header.
_CLAIMED = ("totals", "outcomes", "digest", "beside")
_HEADED = ("source", "assistant_id", "flat", "started_at")

_OF_THE_HEADER = (
    "one of the two files was changed: restore it, or export to another place; if it was the manifest, the same export"
    " command writes a new one, and if it was the journal, no run goes on"
)


def _headed(journal: Journal, manifest: Manifest) -> Set[str]:
    """Where a manifest and a journal differ on which export they are of. No run goes on with what is another's."""
    kinds = {*manifest.claims.beside} ^ {*(journal.header.include if journal.header is not None else ())}
    return {"$.source", "$.assistant_id", "$.flat", *(f"$.beside.{kind}" for kind in kinds)}


def _claimed(manifest: Manifest) -> dict[str, Any]:
    own = ("not_whole", "unfinished", "files", "unfinished_files", *_HEADED)
    said = {field: getattr(manifest.claims, field) for field in _CLAIMED}
    return said | {field: getattr(manifest, field) for field in own}


def _said(journal: Journal, manifest: Manifest) -> dict[str, Any]:
    """What the manifest must say, as plain JSON."""
    counted = claims(journal, listed=len({*manifest.unfinished, *journal.entries}))
    said = {field: getattr(counted, field) for field in _CLAIMED}
    said |= {"not_whole": not_whole(journal), "files": files(journal), "unfinished_files": unfinished_files(journal)}
    said["unfinished"] = [thread_id for thread_id in manifest.unfinished if thread_id not in journal.entries]
    if journal.header is not None:
        said |= {field: getattr(journal.header, field) for field in _HEADED}
    return {field: _plain(value) for field, value in said.items()}


def _plain(value: Any) -> Any:
    if attrs.has(type(value)):
        return {field: _plain(inner) for field, inner in attrs.asdict(value, recurse=False).items()}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
