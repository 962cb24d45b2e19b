"""The places in an application's code where things are declared."""

from __future__ import annotations

from typing import Any, NamedTuple

from purposeguard.errors import on_one_line


class Site(NamedTuple):
    """A place in the code: module, qualified name and line. The line is 0 for built-ins."""

    module: str
    qualname: str
    line: int

    @classmethod
    def of(cls, fn: Any) -> Site:
        """Return the place of a function or other callable."""
        module = getattr(fn, "__module__", None) or type(fn).__module__
        qualname = getattr(fn, "__qualname__", None) or type(fn).__qualname__
        return cls(module, qualname, getattr(getattr(fn, "__code__", None), "co_firstlineno", 0))

    @property
    def dotted(self) -> str:
        """The module and qualified name on one line, such as `shop.mail.remind_customers`."""
        dotted = f"{self.module}.{self.qualname}"
        return dotted if dotted.isprintable() else on_one_line(dotted)


class Declared:
    """The base class of declarations, which have a site."""

    __slots__ = ()

    site: Site

    @property
    def module(self) -> str:
        """The module of the declaration."""
        return self.site.module

    @property
    def qualname(self) -> str:
        """The qualified name of the function, or of the function that contains the block."""
        return self.site.qualname

    @property
    def line(self) -> int:
        """The line of the function or block."""
        return self.site.line
