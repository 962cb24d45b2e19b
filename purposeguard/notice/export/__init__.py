"""Exports of a notice for other engines: the same rules in their own language, from the document alone."""
