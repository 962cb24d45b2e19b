"""The shop over HTTP.

FastAPI runs plain functions, dependencies among them, in a pool of threads, each call with a copy of the context: a
purpose that a dependency enters does not hold in the endpoint. So no route here enters any. A route calls an activity,
and the activity enters its purpose where it does its work.
"""
