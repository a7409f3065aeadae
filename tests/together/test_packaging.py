"""Wheels and source distributions hold the package, its marker and its licence, and nothing stray."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from sdkage import SEEN, gained

ROOT = Path(__file__).parents[2]
DISTRIBUTIONS = [(ROOT, "threadkeep"), (ROOT / "fakeserver", "fake_assistants")]


def built(kind: str, project: Path, folder: Path) -> Path:
    """Build with the project's own backend, without a network."""
    code = f"import flit_core.buildapi as b; print(b.build_{kind}({os.fspath(folder)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True)
    return folder / done.stdout.strip()


def sources(project: Path, package: str) -> set[str]:
    """The files of the package, as they lie in the repository."""
    top = project / "src" / package
    return {
        path.relative_to(project / "src").as_posix()
        for path in top.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.parametrize(("project", "package"), DISTRIBUTIONS)
def test_a_wheel_holds_the_package_and_its_metadata(project: Path, package: str, tmp_path: Path) -> None:
    """Every source file, the type marker, the licence and the entry point, and nothing else."""
    with zipfile.ZipFile(built("wheel", project, tmp_path)) as wheel:
        names = set(wheel.namelist())
        metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
        text = wheel.read(metadata).decode()
    beside = {name for name in names if ".dist-info/" not in name}
    assert beside == sources(project, package)
    assert f"{package}/py.typed" in beside
    assert {name.rpartition(".dist-info/")[2] for name in names - beside} == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
    }
    assert "License-Expression: MIT" in text
    assert "Requires-Python: >=3.11" in text
    assert "Description-Content-Type: text/markdown" in text


@pytest.mark.parametrize(("project", "package"), DISTRIBUTIONS)
def test_a_source_distribution_holds_what_builds_the_wheel(project: Path, package: str, tmp_path: Path) -> None:
    """The sources, the project file, the readme and the licence, and nothing else."""
    with tarfile.open(built("sdist", project, tmp_path)) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    expected = {f"src/{name}" for name in sources(project, package)}
    assert names == expected | {"pyproject.toml", "README.md", "LICENSE", "PKG-INFO"}


def test_ci_installs_the_newest_sdk_that_the_tables_know() -> None:
    """So that what a younger one gains fails nobody, and what this one has is really looked for."""
    major, minor = SEEN
    assert f"'openai<{major}.{minor + 1}'" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize(
    ("installed", "missed"), [("1.55.3", {"b"}), ("{}.{}.9".format(*SEEN), {"b"}), ("99.0.0", set())]
)
def test_a_table_is_held_against_the_sdks_that_it_knows(
    installed: str, missed: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And against no younger one."""
    monkeypatch.setattr("openai.__version__", installed)
    assert gained({"a", "b"}, {"a", "c"}) == missed
