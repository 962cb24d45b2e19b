"""The check of whether a framework has a version that an integration was tested with."""

from purposeguard.extras import UntestedVersion, must_be_tested

__all__ = ["UntestedVersion", "must_be_tested"]
