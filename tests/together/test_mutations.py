"""Damage of every kind is found, with its code and its place, and what is in order has no finding."""

import random
from pathlib import Path

import pytest

import threadkeep
from damaged import INDEX, MANIFEST, OUT, Files, exports, forged, thread_of
from losses import LOSSES
from mutations import LINES, LineKind
from threadkeep.serialization.lossless_json import loads
from threadkeep.validation.findings import KINDS, Severity
from threadkeep.validation.report import ValidationReport

SEEDS = range(3)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Files]:
    """The exports that are damaged."""
    return exports(tmp_path_factory.mktemp("made"))


def sane(report: ValidationReport, files: Files, *strangers: str) -> None:
    """Every finding is in a file that is known, at a line that it has, and of a thread that is known."""
    known = {*files.ids, *strangers, None}
    for one in report:
        assert one.thread_id in known, one
        if one.line is not None and one.file is not None and one.file in files.content:
            content = files.content[one.file]
            assert 1 <= one.line <= max(1, content.count(b"\n") + (not content.endswith(b"\n"))), one
        assert one.severity is KINDS[one.code].severity or one.severity is Severity.NOTE, one


def lines_damaged(files: Files, kind: LineKind, draw: random.Random) -> tuple[Files, int, str, str | None]:
    """One line of those that can be damaged so; gives its number from 0, the code and the path."""
    lines = files.lines()
    firsts = {own.start for own in files.threads.values()}
    fitting = [n for n, line in enumerate(lines) if kind.fits(loads(line)) and not (kind.is_inner and n in firsts)]
    number = draw.choice(fitting)
    lines[number], code, path = kind.mutate(lines[number], draw)
    return files.put(OUT, lines), number, code, path or None


def damaged_somewhere(content: bytes, draw: random.Random) -> bytes:
    """A file of which one byte is another, or is gone, or a line is gone, twice, or before the one before it."""
    place = draw.randrange(len(content))
    lines = content.splitlines(keepends=True)
    number = draw.randrange(len(lines))
    match draw.randrange(6):
        case 0:
            return (
                content[:place]
                + bytes([draw.choice([b for b in range(256) if b != content[place]])])
                + content[place + 1 :]
            )
        case 1:
            return content[:place] + content[place + 1 :]
        case 2:
            return content[:place] + bytes([draw.randrange(256)]) + content[place:]
        case 3:
            return b"".join(lines[:number] + lines[number + 1 :])
        case 4:
            return b"".join(lines[: number + 1] + lines[number:])
    before = max(number - 1, 0)
    return b"".join([*lines[:before], *reversed(lines[before : before + 2]), *lines[before + 2 :]])


@pytest.mark.parametrize("name", ["full", "flat", "cut"])
def test_any_damage_to_any_file_is_found(name: str, made: dict[str, Files], tmp_path: Path) -> None:
    """A law: one byte or one line of any file but the manifest, which the others are held against."""
    draw, base = random.Random(name), made[name]
    before = threadkeep.validate(base.write(tmp_path / "before"), ids=base.ids)
    for number in range(400):
        file = draw.choice([one for one in base.content if one != MANIFEST])
        content = damaged_somewhere(base.content[file], draw)
        if content == base.content[file]:
            continue
        files = base.put(file, content)
        report = threadkeep.validate(files.write(tmp_path / "damaged"), ids=base.ids)
        sane(report, files, *(one.thread_id for one in report if one.thread_id is not None))
        found = [(one.code, one.severity, one.thread_id) for one in report if one.severity is not Severity.NOTE]
        known = [(one.code, one.severity, one.thread_id) for one in before if one.severity is not Severity.NOTE]
        assert found != known, (file, number)
        assert set(before.refetch) <= set(report.refetch)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", LINES)
def test_a_damaged_line_is_found(name: str, seed: int, made: dict[str, Files], tmp_path: Path) -> None:
    """With its code, line, thread and path; also where a forger recomputed the digests, or took them away."""
    kind, draw = LINES[name], random.Random(f"{name} {seed}")
    base = made[kind.base or draw.choice(["full", "flat"])]
    files, number, code, path = lines_damaged(base, kind, draw)
    owners = [thread_of(line) for line in base.lines()]
    line = base.threads[owners[number]].start if code == "digest_mismatch" else number
    expected = (code, OUT, line + 1, owners[number], path)

    report = threadkeep.validate(files.write(tmp_path / "as-it-is"), ids=base.ids)
    sane(report, files)
    assert expected in {(one.code, one.file, one.line, one.thread_id, one.path) for one in report}
    assert not report.is_complete
    assert report.refetch == (owners[number],)
    forgery = threadkeep.validate(forged(files, owners).write(tmp_path / "forged"), ids=base.ids)
    bare = threadkeep.validate(files.without(INDEX, MANIFEST).write(tmp_path / "bare"))
    assert bare.counts["unvouched"] == 1
    for other in (forgery, bare):
        sane(other, files)
        found = {(one.code, one.file, one.line, one.thread_id, one.path) for one in other}
        assert (expected in found) is not kind.is_quiet
        assert other.is_complete is kind.is_quiet
        assert other.refetch == ((owners[number],) if KINDS[code].refetch and not kind.is_quiet else ())


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", LOSSES)
def test_damaged_files_are_found(name: str, seed: int, made: dict[str, Files], tmp_path: Path) -> None:
    """With the code and the place, whatever else is found; and only damaged threads are fetched again."""
    draw = random.Random(f"{name} {seed}")
    bases, cause = LOSSES[name]
    base = draw.choice(bases)
    loss = cause(made[base], draw)
    report = threadkeep.validate(loss.files.write(tmp_path), ids=loss.files.ids)
    sane(report, loss.files, *loss.strangers)
    assert loss.expected in {(one.code, one.severity, one.file, one.line, one.path, one.thread_id) for one in report}, (
        list(report)
    )
    assert not report.is_complete
    if loss.refetch is not None:
        assert set(report.refetch) == loss.refetch
    elif loss.thread_id is not None and KINDS[loss.code].refetch:
        assert loss.thread_id in report.refetch


NOTED = {
    *("image_not_downloaded", "annotation_outside_text", "marker_without_annotation", "text_of_another_shape"),
    "time_goes_back",
}


def test_a_complete_export_has_notes_only(made: dict[str, Files], tmp_path: Path) -> None:
    """About what the API gave; a raw U+2028 and half a surrogate pair are no trouble."""
    for name, more in (("full", NOTED), ("flat", {"time_goes_back"})):
        assert "\u2028".encode() in made[name].content[OUT]
        assert b"\\ud83d" in made[name].content[OUT]
        report = threadkeep.validate(made[name].write(tmp_path / name), ids=made[name].ids)
        assert report.is_complete
        assert report.refetch == ()
        assert report.counts.keys() == {"empty_message", "odd_timestamp", *more}
        bare = threadkeep.validate(made[name].without(INDEX, MANIFEST).write(tmp_path / f"{name}-bare"))
        assert bare.is_complete
        assert bare.counts.keys() == {"empty_message", "odd_timestamp", "unvouched", *more}


def test_a_message_that_the_api_gave_in_two_threads_is_noted(made: dict[str, Files], tmp_path: Path) -> None:
    """Where both are as they were written: then it is no damage. In one thread it always is."""
    base = made["full"]
    owners = [thread_of(line) for line in base.lines()]
    loss = LOSSES["a message in two threads"][1](base, random.Random(0))
    report = threadkeep.validate(forged(loss.files, owners).write(tmp_path / "two"), ids=base.ids)
    assert report.is_complete
    assert report.counts["duplicate_message"] == 1
    loss = LOSSES["a line doubled"][1](base, random.Random(0))
    assert loss.line is not None
    owners.insert(loss.line - 1, str(loss.thread_id))
    report = threadkeep.validate(forged(loss.files, owners).write(tmp_path / "one"), ids=base.ids)
    assert not report.is_complete
    assert report.refetch == (loss.thread_id,)


def test_every_code_that_can_be_found_offline_is_in_the_tables(made: dict[str, Files]) -> None:
    """A code without damage that has it would be a promise without a test."""
    draw = random.Random(0)
    codes = {lines_damaged(made[kind.base or "full"], kind, draw)[2] for kind in LINES.values()}
    codes |= {cause(made[bases[0]], draw).code for bases, cause in LOSSES.values()}
    offline = list(KINDS)[: list(KINDS).index("lost_message")]
    noted = {
        "unvouched",
        "only_in_partial",
        "empty_message",
        "odd_timestamp",
        "other_assistants",
        "export_at_work",
        "unfinished_run",
        "unplanned_shard",  # of a prefix
        *NOTED,
    }
    assert codes | noted == {*offline}
    assert len(LINES) + len(LOSSES) >= 80
