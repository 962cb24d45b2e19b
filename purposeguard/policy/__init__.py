"""The decision, trusted: the executable specification and the compiled table that is held equal to it."""
