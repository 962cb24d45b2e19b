"""Bring an existing code base under its notice: files, evidence and name heuristics."""
