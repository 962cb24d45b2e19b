"""Instrumentation: observe an application that was not written for this library, without a change to its code."""
