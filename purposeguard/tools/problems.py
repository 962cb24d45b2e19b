"""What a person at the command line did wrong, where no other part of the library has an error for it."""


class Problem(Exception):
    """Bad input to the command line: printed without a traceback, exit code 2."""
