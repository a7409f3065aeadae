"""Finding an object by its id, or refusing as the API does."""

from fake_assistants.core import Core
from fake_assistants.jsontext import loads
from fake_assistants.kinds import Kind
from fake_assistants.refusals.ids import not_found
from fake_assistants.shelf import Obj


def found(core: Core, kind: Kind, object_id: str, parent: str = "") -> Obj:
    """The object with this id, the caller's own. Raises Refused: 404 "No thread found with id '...'."."""
    value: Obj = loads(found_text(core, kind, object_id, parent))
    return value


def found_text(core: Core, kind: Kind, object_id: str, parent: str = "") -> bytes:
    """The JSON text of the object with this id, as it goes over the wire. Raises Refused as `found` does."""
    text = core.world.text(kind, object_id, parent)
    if text is None:
        raise not_found(kind, object_id)
    return text
