"""What the collector goes through, in a process that has imported everything."""

import gc


def only_new_objects() -> None:
    """From here on the collector, and who searches the heap, meets only what is made later."""
    gc.collect()
    gc.freeze()
