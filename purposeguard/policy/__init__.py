"""The decision, trusted: the executable specification and the compiled table that is held equal to it.

The function that says yes or no is `PolicySnapshot.decide`, in `purposeguard.runtime.snapshot`. It asks the table of
the notice that is in force.
"""
