"""Where an application declares something."""

from __future__ import annotations

from typing import Any, NamedTuple

from purposeguard.errors import on_one_line


class Site(NamedTuple):
    """Where something is declared: module, qualified name and line (0 where it has none, as built-ins)."""

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
        """Module and qualified name, `shop.mail.remind_customers`, on one line."""
        dotted = f"{self.module}.{self.qualname}"
        return dotted if dotted.isprintable() else on_one_line(dotted)


class Declared:
    """What is declared at a site."""

    __slots__ = ()

    site: Site

    @property
    def module(self) -> str:
        """The module that declares it."""
        return self.site.module

    @property
    def qualname(self) -> str:
        """The function that it is; for a block, the one that contains it."""
        return self.site.qualname

    @property
    def line(self) -> int:
        """The line of the function or block."""
        return self.site.line
