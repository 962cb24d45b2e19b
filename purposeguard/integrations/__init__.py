"""Where services run: each module holds one framework to a notice, over public names alone.

Nothing is imported here. `asgi` needs no library.
"""
