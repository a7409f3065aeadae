"""Every module's ``__all__`` is what it defines for others."""

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

import pytest

import threadkeep

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


def test_the_package_names_its_public_names() -> None:
    """What is imported at the top is what is promised."""
    assert all(hasattr(threadkeep, name) for name in threadkeep.__all__)


@pytest.mark.parametrize("name", [module.name for module in FOUND if module.ispkg])
def test_a_package_is_empty(name: str) -> None:
    """What is public stands at the root, so that importing a package imports nothing else."""
    spec = importlib.import_module(name).__spec__
    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).read_text() == ""
