"""The kinds of object in a database, with the API's names for them."""

import attrs


@attrs.frozen
class Kind:
    """A kind of object. The objects of a kind with a parent have a collection for each parent.

    Only messages must name a parent that exists. Any other object of a state may lack one; no route reaches it then.

    Attributes:
        noun: as in "No thread found".
        prefix: as in "Expected an ID that begins with 'thread'".
        parent: the field that has the id of the parent, such as `thread_id`; of a conversation the field that has the
            user it belongs to, if it belongs to one.
        within: the kind of the parent; None for a user, who is not an object.
    """

    name: str
    noun: str
    prefix: str
    parent: str | None = None
    within: "Kind | None" = None


ASSISTANTS = Kind("assistants", "assistant", "asst")
THREADS = Kind("threads", "thread", "thread")
MESSAGES = Kind("messages", "message", "msg", parent="thread_id", within=THREADS)
RUNS = Kind("runs", "run", "run", parent="thread_id", within=THREADS)
RUN_STEPS = Kind("run_steps", "run step", "step", parent="run_id", within=RUNS)
FILES = Kind("files", "file", "")  # recorded: a file id of any shape is looked up
FILE_CONTENTS = Kind("file_contents", "file content", "")  # the fake's own: {"id": a file's, "content": base64}
VECTOR_STORES = Kind("vector_stores", "vector store", "vs")
VECTOR_STORE_FILES = Kind("vector_store_files", "file", "", parent="vector_store_id", within=VECTOR_STORES)
# The API's batches do not name their files, so those of the database have one more field: `file_ids`.
VECTOR_STORE_FILE_BATCHES = Kind(
    "vector_store_file_batches", "file batch", "vsfb", parent="vector_store_id", within=VECTOR_STORES
)
# A conversation does not show its user, so those of the database that have one have one more field.
CONVERSATIONS = Kind("conversations", "conversation", "conv", parent="user_identity")
# The API's items do not name their parent, so those of the database have one more field: `conversation_id`.
CONVERSATION_ITEMS = Kind("conversation_items", "item", "", parent="conversation_id", within=CONVERSATIONS)
RESPONSES = Kind("responses", "response", "resp")
RESPONSE_INPUT_ITEMS = Kind("response_input_items", "item", "", parent="response_id", within=RESPONSES)

# In the order of a state file: parents come before the objects that they contain.
KINDS = {
    kind.name: kind
    for kind in (
        *(ASSISTANTS, THREADS, MESSAGES, RUNS, RUN_STEPS, FILES, FILE_CONTENTS, VECTOR_STORES, VECTOR_STORE_FILES),
        *(VECTOR_STORE_FILE_BATCHES, CONVERSATIONS, CONVERSATION_ITEMS, RESPONSES, RESPONSE_INPUT_ITEMS),
    )
}
