"""Every module's ``__all__`` is what it defines for others."""

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

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


@pytest.mark.parametrize("name", [module.name for module in FOUND if module.ispkg and module.name != HISTORY])
def test_a_package_is_empty(name: str) -> None:
    """What is public stands at the root, so that importing a package imports nothing else."""
    spec = importlib.import_module(name).__spec__
    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).read_text() == ""
