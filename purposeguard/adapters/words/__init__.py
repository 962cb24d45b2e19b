"""Row rules in the words of an engine that several adapters speak to, and the values that they compare."""
