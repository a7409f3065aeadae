"""Every module's ``__all__`` is what it defines for others."""

import importlib
import inspect
import pkgutil
import typing
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import msgspec
import openai
import pytest

import threadkeep

HISTORY = "threadkeep.history"  # the one package whose names are documented as its own
FOUND = [*pkgutil.walk_packages(threadkeep.__path__, "threadkeep.")]
MODULES = [importlib.import_module(module.name) for module in FOUND if not module.ispkg]


def defined(module: ModuleType) -> set[str]:
    """The public functions and classes that a module defines itself."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    }


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_all_names_what_the_module_defines(module: ModuleType) -> None:
    """No public name is forgotten, and none is named that is not there."""
    assert defined(module) <= set(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)
    assert list(module.__all__) == sorted(
        module.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name)
    )


@pytest.mark.parametrize("name", ["threadkeep", HISTORY])
def test_a_package_has_the_public_names_that_it_promises(name: str) -> None:
    """What can be imported from the root, and from the package of histories."""
    package = importlib.import_module(name)
    assert all(hasattr(package, public) for public in package.__all__)
    with pytest.raises(AttributeError, match="no attribute 'open_histori'"):
        package.open_histori  # noqa: B018


def test_a_misspelt_name_is_an_error_of_types_too() -> None:
    """A type checker reports it: without its error, mypy would report the comments here as not used."""
    import threadkeep.history

    with pytest.raises(AttributeError, match="no attribute 'open_histori'"):
        threadkeep.open_histori("chat.json")  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="no attribute 'open_histori'"):
        threadkeep.history.open_histori("chat.json")  # type: ignore[attr-defined]


def test_the_names_of_histories_are_at_the_root_too() -> None:
    """`threadkeep.history` is documented as a package; the root has all public names."""
    assert set(importlib.import_module(HISTORY).__all__) <= set(threadkeep.__all__)


def hints(owner: Any) -> dict[str, Any]:
    """The types of what a function takes and returns, or of the fields of a class."""
    names = {**vars(openai), **vars(typing), **{name: getattr(threadkeep, name) for name in threadkeep.__all__}}
    module = vars(importlib.import_module(owner.__module__))
    return typing.get_type_hints(owner, names | module)


def own_classes(kind: Any) -> Iterator[type]:
    """The classes of threadkeep that a type is made of."""
    if isinstance(kind, type) and kind.__module__.startswith("threadkeep."):
        yield kind
    for part in typing.get_args(kind):
        for one in part if isinstance(part, list) else [part]:
            yield from own_classes(one)


def public_members(owner: Any) -> Iterator[Any]:
    """What has types: a function, the fields of a class, its public methods and properties."""
    if not isinstance(owner, type):
        yield inspect.unwrap(owner)
        return
    if attrs.has(owner) or issubclass(owner, msgspec.Struct):
        yield owner
    for name, member in vars(owner).items():
        function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if inspect.isfunction(function) and not name.startswith("_"):
            yield inspect.unwrap(function)


def test_each_type_that_a_public_name_takes_or_gives_is_public() -> None:
    """Somebody who annotates a function of their own needs its name."""
    owners = [getattr(threadkeep, name) for name in threadkeep.__all__]
    public = {owner for owner in owners if isinstance(owner, type)}
    hidden = {
        f"{owner.__qualname__}: {one.__module__}.{one.__qualname__}"
        for owner in owners
        if isinstance(owner, type) or inspect.isfunction(owner)
        for member in public_members(owner)
        for name, kind in hints(member).items()
        if not name.startswith("_")
        for one in own_classes(kind)
        if one not in public and not typing.is_typeddict(one)  # whose keys are given by name
    }
    assert sorted(hidden) == []


FUNCTIONS = [name for name in threadkeep.__all__ if inspect.isfunction(getattr(threadkeep, name))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_docstring_of_a_function_describes_its_arguments_and_what_comes_back(name: str) -> None:
    """Each under a heading of its own."""
    function = getattr(threadkeep, name)
    described = inspect.getdoc(function) or ""
    parameters = [*inspect.signature(function).parameters]
    assert [one for one in parameters if one not in described.partition("Args:")[2]] == []
    if inspect.signature(function).return_annotation is not None:
        assert "Returns:" in described or described.startswith(("Return ", "Yield "))


@pytest.mark.parametrize("name", [module.name for module in FOUND if module.ispkg and module.name != HISTORY])
def test_a_package_is_empty(name: str) -> None:
    """What is public stands at the root, so that importing a package imports nothing else."""
    spec = importlib.import_module(name).__spec__
    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).read_text() == ""
