"""The rules of lint, a module each."""
