"""The kinds of object in a world, in the API's own words."""

import attrs


@attrs.frozen
class Kind:
    """`noun` stands in "No thread found"; `prefix` in "Expected an ID that begins with 'thread'".

    What stands in something else has a shelf for each: `parent` is the field that names what it stands in,
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
FILES = Kind("files", "file", "file")
VECTOR_STORES = Kind("vector_stores", "vector store", "vs")
CONVERSATIONS = Kind("conversations", "conversation", "conv")

# The order is that of a state file. Parents come before what stands in them.
KINDS = {
    kind.name: kind for kind in (ASSISTANTS, THREADS, MESSAGES, RUNS, RUN_STEPS, FILES, VECTOR_STORES, CONVERSATIONS)
}
