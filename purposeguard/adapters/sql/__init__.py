"""SQL: what a statement reads and writes, told by its text, and decided before it runs. Needs the extra `sql`."""
