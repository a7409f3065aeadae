"""Finding an object by its id, or refusing as the API does."""

from fake_assistants.core import Core
from fake_assistants.kinds import Kind
from fake_assistants.refusals import not_found
from fake_assistants.shelf import Obj


def found(core: Core, kind: Kind, object_id: str, parent: str = "") -> Obj:
    """The object with this id. Raises Refused: 404 "No thread found with id '...'."."""
    value = core.world.find(kind, object_id, parent)
    if value is None:
        raise not_found(kind, object_id)
    return value
