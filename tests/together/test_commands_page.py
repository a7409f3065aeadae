"""The page of commands names every command and every option, and no other."""

import re
from importlib import import_module
from pkgutil import iter_modules

import click
import pytest

from pages import DOCS, anchors
from threadkeep.cli import commands

PAGE = (DOCS / "commands.md").read_text(encoding="utf-8")
SECTIONS = {text.split()[1]: text for text in re.split(r"^## ", PAGE, flags=re.M) if text.startswith("threadkeep ")}
MODULES = [import_module(f"{commands.__name__}.{module.name}") for module in iter_modules(commands.__path__)]
COMMANDS = {str(one.name): one for module in MODULES for one in vars(module).values() if isinstance(one, click.Command)}


def options(command: click.Command) -> set[str]:
    """The options of a command, by all of their long names."""
    names = {name for one in command.params if isinstance(one, click.Option) for name in one.opts}
    return {name for name in names if name.startswith("--")}


def documented(text: str) -> set[str]:
    """The options that a text names."""
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text.replace("`-o ", "`--output ")))


OF_A_SOURCE = documented(PAGE.partition("\n## Sources\n")[2].partition("\n## ")[0])


def test_every_command_has_its_section() -> None:
    """And a row in the table of the page, with a link that leads there."""
    assert sorted(COMMANDS) == sorted(SECTIONS)
    linked = re.findall(r"^\| \[`(\w+)`\]\(#([\w-]+)\)", PAGE, re.M)
    assert [name for name, _ in linked] == [*SECTIONS]
    assert {anchor for _, anchor in linked} <= anchors(PAGE)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented(name: str) -> None:
    """In the section of its command; those that choose the server and the key, in the section about sources."""
    asked, found = options(COMMANDS[name]), documented(SECTIONS[name])
    assert asked - found <= OF_A_SOURCE
    assert found <= {name for command in COMMANDS.values() for name in options(command)} | {"--to-"}
