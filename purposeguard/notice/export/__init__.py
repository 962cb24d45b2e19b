"""A notice for other engines: the same rules in their own language, worked out from the document alone."""
