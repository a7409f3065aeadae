"""What `--help` shows of the command and of each of its commands, and what is said of one that is typed wrong."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from threadkeep.cli.main import commands, run
from threadkeep.cli.option_groups import GroupedCommand, GroupedOption

COMMANDS = {name: one for name, one in commands.commands.items() if isinstance(one, GroupedCommand)}


def page(*arguments: str, columns: int) -> str:
    """What `--help` prints on a terminal of so many columns."""
    done = CliRunner().invoke(commands, [*arguments, "--help"], prog_name="threadkeep", terminal_width=columns)
    assert done.exit_code == 0
    return done.output


def options() -> Iterator[tuple[str, GroupedOption]]:
    """Each option of each command but for those of the help itself, with the name of the command."""
    for name, command in COMMANDS.items():
        for one in command.params:
            if isinstance(one, click.Option):
                assert isinstance(one, GroupedOption), f"{name} {one.opts} has no heading"
                yield name, one


def test_each_command_has_headings() -> None:
    """None of them is of another kind."""
    assert COMMANDS.keys() == commands.commands.keys()


@pytest.mark.parametrize("columns", [60, 80, 100])
@pytest.mark.parametrize("arguments", [(), *((name,) for name in COMMANDS)], ids=str)
def test_each_page_fits_the_terminal(arguments: tuple[str, ...], columns: int) -> None:
    """No line is longer, and nothing is cut off."""
    shown = page(*arguments, columns=columns)
    assert max(map(len, shown.splitlines())) <= columns
    assert "..." not in shown.replace("[ARGS]...", "").replace("PARTS...", "")


def test_each_option_has_one_sentence() -> None:
    """It begins with what happens, ends as a sentence does, and takes one line where the terminal has 100 columns."""
    for name, one in options():
        assert one.help is not None, (name, one.opts)
        assert one.help[0].isupper(), (name, one.opts)
        assert one.help.endswith("."), (name, one.opts)
        assert len(one.help) < 70, (name, one.opts)


def test_the_same_option_has_the_same_words_everywhere() -> None:
    """A flag and an option with a value are two, though they may have one name: `status --done`."""
    words = defaultdict[tuple[str, bool], set[object]](set)
    for _, one in options():
        for name in one.opts:
            words[name, one.is_flag].add((one.help, one.heading if one.is_flag else None))
    assert {name: found for name, found in words.items() if len(found) > 1} == {}


def test_options_that_take_a_file_say_so() -> None:
    """Their value is FILE or a place of the result, and a shell completes it."""
    for name, one in options():
        metavar = one.make_metavar(click.Context(COMMANDS[name]))
        if metavar in ("FILE", "OUT", "TARGET", "FOLDER"):
            (item,) = one.type.shell_complete(click.Context(COMMANDS[name]), one, "")
            assert item.type in ("file", "dir"), (name, one.opts)


def test_each_argument_is_explained() -> None:
    """Under a heading of its own, in one sentence."""
    for name, command in COMMANDS.items():
        arguments = [one for one in command.params if isinstance(one, click.Argument)]
        shown = page(name, columns=100)
        rows = shown.partition("Arguments:\n")[2].partition("\n\n")[0].splitlines()
        assert [row.split()[0] for row in rows] == [one.human_readable_name for one in arguments]
        assert all(row.endswith(".") for row in rows)


def test_defaults_are_shown() -> None:
    """Those that are values, and those that depend on something else."""
    shown = " ".join(page("push", columns=80).split())
    assert "Work on N threads at a time. [default: 64, to Engramia 1]" in shown
    assert "Repeat a failed request N times. [default: 6]" in shown
    assert "Write citations like this: keep, strip or footnotes. [default: keep]" in shown


def test_the_groups_come_in_the_order_in_which_they_are_needed() -> None:
    """What, where from, the pace, the output."""
    headings = [line for line in page("export", columns=80).splitlines() if line.endswith(":") and line[0] != " "]
    assert headings == ["Arguments:", "What:", "Where from:", "Pace:", "Output:", "Options:"]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("exprot", "No such command 'exprot'. Did you mean 'export'?"),
        ("status --jsom", "No such option '--jsom'. Did you mean '--json'?"),
        ("export ids.txt", "Missing argument 'ASSISTANT_ID'."),
        ("export ids.txt asst_1 out --rpm 0", "Invalid value for '--rpm': 0 is not a whole number of at least 1."),
        ("export ids.txt asst_1 out --rpm x", "Invalid value for '--rpm': x is not a whole number of at least 1."),
        (
            "export ids.txt asst_1 out --concurrency 999",
            "Invalid value for '--concurrency': 999 is not a whole number from 1 to 256.",
        ),
        (
            "export out.ndjson asst_1 ids.txt",
            "THREAD_IDS, out.ndjson, does not exist, and OUT, ids.txt, is no export. The order is THREAD_IDS"
            " ASSISTANT_ID OUT.",
        ),
        ("export EMPTY asst_1 out", "Invalid value for 'THREAD_IDS': it is empty: name a file."),
        ("validate out --ids EMPTY", "Invalid value for '--ids': it is empty: name a file."),
        ("push out --to", "Option '--to' requires an argument."),
        ("push out", "Missing option '--to'. Choose from: conversations, engramia"),
        ("validate out -v", "Give --live too: --verbose prints the requests that it sends."),
        ("validate out --sample 3", "Give --live too: --sample says how many threads it compares."),
        ("validate out --seed 3", "Give --sample too: --seed chooses its threads."),
    ],
)
def test_an_error_of_usage_is_one_line_with_the_usage_below_it(
    typed: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names what is wrong, how the command is typed, and where that is explained; the exit code is 2."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.chdir(tmp_path)
    Path("ids.txt").write_text("thread_a\n")
    assert run([word.replace("EMPTY", "") for word in typed.split()]) == 2
    *notices, first, usage, help_ = capsys.readouterr().err.splitlines()
    assert [one for one in notices if not one.startswith(("threadkeep: OpenAI closed", "  "))] == []
    assert first == f"threadkeep: {words}"
    path = "threadkeep" if typed == "exprot" else f"threadkeep {typed.split()[0]}"
    assert usage.startswith(f"  Usage: {path} [OPTIONS] ")
    assert help_ == f"  `{path} --help` explains it."


def test_without_a_command_the_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, with exit code 2."""
    assert run([]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.splitlines()[0]) == ("", "Usage: threadkeep [OPTIONS] [COMMAND] [ARGS]...")
    assert "demo" in printed.err
