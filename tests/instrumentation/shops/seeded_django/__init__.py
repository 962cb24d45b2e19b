"""A shop on Django, with the REST framework, with seeded violations: see `seeded_fastapi`."""
