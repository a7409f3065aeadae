"""The kinds of object in a world, in the API's own words."""

import attrs


@attrs.frozen
class Kind:
    """`noun` stands in "No thread found"; `prefix` in "Expected an ID that begins with 'thread'"."""

    name: str
    noun: str
    prefix: str
    parent: str | None = None  # the field that names the thread on whose shelf the object stands


ASSISTANTS = Kind("assistants", "assistant", "asst")
THREADS = Kind("threads", "thread", "thread")
MESSAGES = Kind("messages", "message", "msg", parent="thread_id")
RUNS = Kind("runs", "run", "run")
RUN_STEPS = Kind("run_steps", "run step", "step")
FILES = Kind("files", "file", "file")
VECTOR_STORES = Kind("vector_stores", "vector store", "vs")
CONVERSATIONS = Kind("conversations", "conversation", "conv")

# The order is that of a state file. Threads come before what stands in them.
KINDS = {
    kind.name: kind for kind in (ASSISTANTS, THREADS, MESSAGES, RUNS, RUN_STEPS, FILES, VECTOR_STORES, CONVERSATIONS)
}
