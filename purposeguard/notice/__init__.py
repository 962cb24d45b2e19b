"""A published notice as data: its file, its terms, what it grants, its revisions, and what it is written out as."""
