"""What each error means for a script: also one that is a special case of another."""

import pytest

from threadkeep.cli.exit_codes import Exit, exit_for
from threadkeep.errors import ApiGone, OtherExport, OutputUnusable, RunEnded, ThreadkeepError
from threadkeep.scale.object_store import ObjectDamaged, ObjectMissing


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OutputUnusable, Exit.OUTPUT),
        (ObjectDamaged, Exit.OUTPUT),
        (ObjectMissing, Exit.OUTPUT),
        (OtherExport, Exit.OUTPUT),
        (ApiGone, Exit.GONE),
        (RunEnded, Exit.INCOMPLETE),
        (ThreadkeepError, Exit.INCOMPLETE),
    ],
)
def test_the_nearest_class_counts(error: type[ThreadkeepError], code: Exit) -> None:
    """An error without a code of its own has that of the class that it is a case of."""
    assert exit_for(error("something"))[0] is code
