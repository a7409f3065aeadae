"""The completion of a shell, in a bash of its own."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

# Completes the last of its words as bash does when somebody presses the tabulator, and prints what it offers.
_COMPLETE = r"""
. ./complete.sh
compopt() { echo "bash completes: $2"; }
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_threadkeep_completion threadkeep
printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the command, and with what it gives bash to load."""
    folder = tmp_path_factory.mktemp("bin")
    command = folder / "threadkeep"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m threadkeep "$@"\n')
    command.chmod(0o755)
    settings = {**environment(folder), "_THREADKEEP_COMPLETE": "bash_source"}
    (folder / "complete.sh").write_bytes(subprocess.run([command], env=settings, stdout=PIPE, check=True).stdout)
    return folder


def environment(folder: Path) -> dict[str, str]:
    """One in which the command is found."""
    return {**os.environ, "PATH": f"{folder}:/usr/bin:/bin", "PYTHONPATH": ":".join(filter(None, sys.path))}


def offered(folder: Path, *typed: str) -> list[str]:
    """What bash offers for the last of these words."""
    command = ["bash", "--norc", "-c", _COMPLETE, "bash", "threadkeep", *typed]
    done = subprocess.run(command, env=environment(folder), capture_output=True, text=True, check=True, cwd=folder)
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize(
    ("shell", "words"), [("zsh", "#compdef threadkeep"), ("fish", "complete --no-files --command")]
)
def test_other_shells_have_a_script_too(folder: Path, shell: str, words: str) -> None:
    """As `docs/commands.md` says how it is loaded."""
    settings = {**environment(folder), "_THREADKEEP_COMPLETE": f"{shell}_source"}
    done = subprocess.run([folder / "threadkeep"], env=settings, capture_output=True, text=True, check=True)
    assert words in done.stdout


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        (["va"], ["validate"]),
        (["m"], ["move", "merge"]),
        (["export", "--to"], ["--token-command"]),
        (["export", "--au"], ["--auth"]),
        (["export", "--auth", ""], ["bearer", "api-key"]),
        (["export", "--include", "t"], ["threads", "threads,runs"]),
        (["export", "ids.txt", "a"], ["auto"]),
        (["convert", "out.ndjson", "--to", "ma"], ["markdown"]),
        (["push", "out.ndjson", "--to", ""], ["conversations", "engramia"]),
        (["export", "--keys-file", "k"], ["bash completes: default", ""]),
        (["export", "i"], ["bash completes: default", ""]),
        (["validate", "o"], ["bash completes: default", ""]),
        (["demo", "--folder", ""], ["bash completes: dirnames", ""]),
    ],
    ids=" ".join,
)
def test_bash_completes(folder: Path, typed: list[str], wanted: list[str]) -> None:
    """Commands, options, choices and files."""
    assert sorted(offered(folder, *typed)) == sorted(wanted)
