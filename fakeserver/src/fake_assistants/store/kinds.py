"""The kinds of object in a database, in the API's own words."""

import attrs


@attrs.frozen
class Kind:
    """`noun` stands in "No thread found"; `prefix` in "Expected an ID that begins with 'thread'".

    What stands in something else has a collection for each: `parent` is the field that names what it stands in,
    `within` is the kind of that. Only messages must name a parent that exists: any other object of a state
    that names none is kept, though no route leads to it.
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
# A batch does not name its files, so the database's batches have a field more than the API's: `file_ids`.
VECTOR_STORE_FILE_BATCHES = Kind(
    "vector_store_file_batches", "file batch", "vsfb", parent="vector_store_id", within=VECTOR_STORES
)
CONVERSATIONS = Kind("conversations", "conversation", "conv")
# An item names nothing that it stands in, so the database's items have a field more than the API's.
CONVERSATION_ITEMS = Kind("conversation_items", "item", "", parent="conversation_id", within=CONVERSATIONS)
RESPONSES = Kind("responses", "response", "resp")
RESPONSE_INPUT_ITEMS = Kind("response_input_items", "item", "", parent="response_id", within=RESPONSES)

# The order is that of a state file. Parents come before what stands in them.
KINDS = {
    kind.name: kind
    for kind in (
        *(ASSISTANTS, THREADS, MESSAGES, RUNS, RUN_STEPS, FILES, FILE_CONTENTS, VECTOR_STORES, VECTOR_STORE_FILES),
        *(VECTOR_STORE_FILE_BATCHES, CONVERSATIONS, CONVERSATION_ITEMS, RESPONSES, RESPONSE_INPUT_ITEMS),
    )
}
