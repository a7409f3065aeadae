"""The names of an export's files: no two exports of one folder share any."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import threadkeep
from threadkeep.errors import OutputUnusable
from threadkeep.storage.paths import Paths

NAMES = st.lists(st.sampled_from(["a", ".ndjson", ".NDJSON", ".files", "-files", ".txt", "."]), min_size=1).map("".join)


@given(names=st.sets(NAMES.filter(lambda name: name not in (".", "..")), min_size=2, max_size=6))
def test_every_export_has_a_folder_of_its_own(names: set[str]) -> None:
    """Whatever they are called, and apart from the export itself; kept under another name they have one too."""
    every = [Paths(Path(name)) for name in names]
    folders = {paths.files for paths in every}
    assert len(folders) == len(names)
    assert all(paths.files != paths.out for paths in every)
    assert not folders & {paths.aside(1).files for paths in every}


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("out.ndjson", "out.files"),
        ("my.out.ndjson", "my.out.files"),
        ("out.txt", "out.txt-files"),
        ("out", "out-files"),
        (".ndjson", ".ndjson-files"),
    ],
)
def test_the_folder_is_called_after_the_export(name: str, folder: str) -> None:
    """Without its `.ndjson`; every other name is kept whole."""
    assert Paths(Path("there", name)).files == Path("there", folder)


@pytest.mark.parametrize("name", ["", "/", "a\0b"])
def test_what_is_no_name_of_a_file(name: str) -> None:
    """Is refused by all that take an OUT."""
    for act in (threadkeep.read, threadkeep.write, threadkeep.status, threadkeep.validate):
        with pytest.raises(OutputUnusable, match=r"is no name of a file\. Name OUT\."):
            act(name)
