"""Integrations of frameworks in which services run. Each module holds one framework to a notice, by public names alone.

This package imports nothing itself. `asgi` needs no library.
"""
