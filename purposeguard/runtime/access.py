"""Access functions, which read data only if the ambient purpose may use it, or withhold the other fields."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from purposeguard.errors import UnlabelledData
from purposeguard.notice.label import Label
from purposeguard.runtime.announced_result import AnnouncedResult, read_announced_result, refuse_untagged
from purposeguard.runtime.current_use import authorize, require_current_use, use_for_call
from purposeguard.runtime.engine import Engine
from purposeguard.runtime.registry import Access
from purposeguard.runtime.site import Site
from purposeguard.runtime.use import Use, wrap_in_counting_lookup, wrap_in_lookup
from purposeguard.runtime.wrapping import Function, require_function, wrap_body
from purposeguard.values.annotations import (
    is_taggable,
)
from purposeguard.values.callables import callable_kind, is_plain
from purposeguard.values.sealed import Sealed
from purposeguard.values.streams import (
    LEFT_OUT,
    Steps,
    enters_generator,
    is_iterator_class,
    is_lazy_class,
    wrap_stepwise,
)
from purposeguard.values.type_schema import Shape

F = TypeVar("F", bound=Callable[..., Any])


class AccessFunction:
    """A function that reads personal data, with the checks before and after its body.

    Attributes:
        access: The entry of the function in the guard's inventory.
        ambient: Returns the use that is active here.
        innermost: Returns the innermost use that was entered here, even if its generator is suspended.
        counts: True if the guard counts uses.
        reports_reads: True if observers want each read, so that the function has no fast path.
        wrapper: The decorated function.
        marked: True if the returned rows name their subject or dates.
        needs_inspection: True if the result must be inspected before it is returned.
        eager_classes: The classes of earlier results that are neither iterators nor coroutines.
    """

    def __init__(
        self,
        fn: Function,
        engine: Engine,
        named: Label | None,
        withhold: bool,
        localns: Mapping[str, Any] | None = None,
        *,
        narrow: bool = False,
    ) -> None:
        """Inspect a function that is to be decorated.

        Args:
            fn: The function.
            engine: The engine of the guard.
            named: The label that the decorator names, if any.
            withhold: If True, denied fields are withheld.
            localns: The local names around a function that is defined inside another function.
            narrow: If True, denied rows are dropped.
        """
        require_function(fn)
        _refuse_cached(fn)
        if getattr(fn, "__purposeguard_activity__", False):
            raise TypeError(
                f"{Site.of(fn).dotted} states its purpose below `@guard.access`, which asks for one before: write "
                "`@guard.purpose(…)` above it"
            )
        self.access = Access(Site.of(fn), withhold, narrow, named=named)
        self.ambient = engine.ambient
        self.innermost = engine.innermost
        self.counts = engine.counting
        self.reports_reads = bool(engine.observers.read)
        self.wrapper: Function | None = None
        self._fn = fn
        self._engine = engine
        self._announced: AnnouncedResult | None = None
        self._yields = callable_kind(fn) in ("generator", "async generator")
        self.marked = False
        self.needs_inspection = False
        self.eager_classes: set[type] = set()
        try:
            self.resolve(localns)
        except NameError:
            # The annotation names a class that is defined later in the module. The first call resolves it.
            if named is not None and not withhold:
                self.access.label = named

    def resolve(self, localns: Mapping[str, Any] | None = None) -> Label | None:
        """Read the return annotation and return the label of the plain data that the function returns.

        Args:
            localns: The local names around a function that is defined inside another function.

        Returns:
            The label, or None if all of the data is sealed.

        Raises:
            UnlabelledData: Neither the decorator nor the return annotation names a source, or a field is undescribed
                and the guard refuses such fields.
            UnknownSource: A source belongs to another notice.
            NameError: The annotation contains a name that is not defined (yet).
        """
        access, matrix = self.access, self._engine.snapshot.matrix
        announced = read_announced_result(self._fn, access, localns, self._engine.silent)
        if self._engine.untagged_refused:
            refuse_untagged(announced.shape, access.name)
        for label in (announced.label, *announced.shape.seals().values()):
            if label is not None:
                matrix.resolve_label(label)  # Raises if a source belongs to another notice.
        access.whole = announced.shape.own_label
        access.fields = announced.fields
        access.sealed = announced.sealed
        access.label = announced.label
        self._announce(announced)
        return announced.label

    def _announce(self, announced: AnnouncedResult) -> None:
        self.marked = announced.is_marked
        # A value that is annotated as sealed may be returned plain, so it is inspected.
        self.needs_inspection = (
            announced.is_marked or announced.shape.holds_seals or announced.may_hold_unannounced_rows
        )
        self._announced = announced  # Set last, because for other threads it means that all is resolved.

    def resolve_label(self) -> Label | None:
        """Return the label, resolving the annotation if necessary.

        Returns:
            The label, or None if all of the data is sealed.

        Raises:
            UnlabelledData: The annotation still cannot be resolved, and the sources that the decorator names do not
                suffice.
        """
        access = self.access
        if self._announced is not None:
            return access.label
        try:
            return self.resolve()
        except NameError as error:
            if access.named is None or access.withhold or access.narrow or self._engine.untagged_refused:
                raise UnlabelledData(
                    f"{access.name}: its return annotation names `{error.name}`, which is not defined"
                ) from error
        self._announce(AnnouncedResult.of_any_rows(access.named, self._engine.silent))
        return access.label

    @property
    def has_fast_path(self) -> bool:
        """True if one label decides: nothing is withheld, no row names its subject, and no value in it is lazy."""
        announced = self._announced
        if announced is None or announced.is_marked or announced.may_contain_lazy_values:
            return False
        return not (self.access.withhold or self.reports_reads)

    @property
    def _needs_walk(self) -> bool:
        """True if the result must be searched before it is returned."""
        return self.access.withhold or self.needs_inspection or self._may_contain_lazy_values

    @property
    def _may_contain_lazy_values(self) -> bool:
        return self._announced is not None and self._announced.may_contain_lazy_values

    @property
    def _shape(self) -> Shape:
        """The shape of the results. Empty as long as the annotation is not resolved."""
        return self._announced.shape if self._announced is not None else self._engine.silent

    def belongs_to(self, engine: Engine) -> bool:
        """Return True if this engine decides for the function."""
        return self._engine is engine

    def authorize(self) -> Use[Any] | None:
        """Return the active use if the function may run here.

        Returns:
            The use, or None if there is none and that is only observed.

        Raises:
            PurposeMissing: No purpose is active here.
            PurposeViolation: The purpose may not use the data.
        """
        label = self.resolve_label()
        if self.access.withhold or label is None:
            use = use_for_call(self._engine, self.access)
            if use is not None and self.access.named is not None:
                refusal = use.handle.check_label(self.access.named, access=self.access)
                if refusal is not None:
                    self._engine.refuse(refusal, use, self.access)
            return use
        if self.marked:
            return self._authorize_rows(label)
        return authorize(self._engine, self.access, label)

    def _authorize_rows(self, label: Label) -> Use[Any] | None:
        """Authorize a function whose rows name their subjects. Each row is decided when it is returned."""
        use = use_for_call(self._engine, self.access)
        if use is not None:
            outside = self._announced.label_outside_rows if self._announced is not None else None
            refusal = use.handle.check_label_before_rows(label, outside, self.access)
            if refusal is not None:
                self._engine.refuse(refusal, use, self.access)
        return use

    def run_authorized(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function and return the result to cache. The caller has just called `authorize` in this context."""
        return self._result_to_cache(self._fn(*args, **kwargs))

    async def run_authorized_coroutine(self, *args: Any, **kwargs: Any) -> Any:
        """Await the coroutine function and return the result to cache. The caller has just called `authorize`."""
        return self._result_to_cache(await self._fn(*args, **kwargs))

    def _result_to_cache(self, value: Any) -> Any:
        if is_lazy_class(type(value)):
            raise TypeError(
                f"{self.access.name} gave a {type(value).__name__}, which is used up by the first who asks: give a "
                "list, which `guard.cached` can keep"
            )
        return value if self.needs_inspection else self._filter_result(value)

    def result_from_cache(self, value: Any) -> Any:
        """Return the part of a cached value that the current use may see. Rows with a subject are checked again."""
        try:
            return self._filter_result(value) if self.needs_inspection else value
        finally:
            del value  # Keep the value out of the traceback of a refusal.

    def _filter_result(self, value: Any) -> Any:
        try:
            use = self.ambient()
            if use.active:
                return self.filter_result(value, use)
            if not self._engine.observing:  # The function has left the block in which it was called.
                require_current_use(self._engine, f"{self.access.name} was called")
            return value
        finally:
            del value  # Keep the value out of the traceback of a refusal.

    def _inspect_result(self, value: Any) -> Any:
        """Return the result of a function without withholding or marks after checking what is annotated as sealed."""
        shape = self._shape
        if isinstance(value, Sealed) and shape.sealed:
            return value
        plan = shape.plans.get(type(value))
        if plan is not None and plan.is_as_announced(value):
            return value
        try:
            return self._filter_result(value)
        finally:
            del value  # Keep the value out of the traceback of a refusal.

    def authorize_and_get_label(self) -> Label | None:
        """Authorize the call and return the function's label, for functions that do not withhold fields."""
        self.authorize()
        return self.access.label

    # The methods of `BodyWrapper`. The check takes place before the body runs or continues, and filtering afterwards.

    enter = authorize

    def enter_for_cleanup(self) -> None:
        """Check nothing, because cleaning up reads no data."""

    def leave(self, token: Use[Any] | None) -> None:
        """Do nothing, because `enter` opens nothing."""

    def filter_result(self, value: Any, token: Use[Any] | None) -> Any:
        """Return a result or yielded item without the fields and rows that the purpose may not use."""
        shape = self._shape
        if self._yields and shape.contents is not None:
            shape = shape.contents  # A generator yields one item at a time.
        try:
            return self._filter_value(value, token, shape, is_item=self._yields)
        finally:
            del value  # Keep the value out of the traceback of a refusal.

    def check_lazily(self, value: Any) -> Any:
        """Wrap an iterator or coroutine so that each step is checked. Return any other value unchanged."""
        if self.needs_inspection:
            return self._inspect_result(value)
        cls = type(value)
        if is_lazy_class(cls):
            return self._filter_value(value, None, self._shape, is_item=False)
        if len(self.eager_classes) < _MOST_CLASSES:
            self.eager_classes.add(cls)
        return value

    def _filter_value(self, value: Any, token: Use[Any] | None, shape: Shape, *, is_item: bool) -> Any:
        """Return the part of a value that the use may see.

        Returns:
            The value, a copy, or a wrapper around an iterator or coroutine. LEFT_OUT if it is an item (`is_item`) that
            must be dropped.
        """
        access = self.access
        try:
            if self._is_lazy(value, shape):
                return wrap_stepwise(value, self._make_steps(shape))
            if token is None or not self._needs_walk:
                return value
            from purposeguard.runtime.results import filter_rows, withhold_denied_fields, wrap_lazy_values  # noqa: PLC0415  # loaded by the first result that is looked through

            if self.needs_inspection and (access.narrow or not access.withhold or access.named is not None):
                value = filter_rows(token, value, shape, access, is_item=is_item, authorize=self.enter)
                if value is LEFT_OUT:
                    return value
            if self.marked and not access.withhold and access.label is not None:
                token.handle.count_rows(access.label)
            if access.withhold:
                return withhold_denied_fields(token, value, shape, access, authorize=self.enter)
            return wrap_lazy_values(token, value, shape, self.enter) if self._may_contain_lazy_values else value
        finally:
            del value  # Keep the value out of the traceback of a refusal.

    def _is_lazy(self, value: Any, shape: Shape) -> bool:
        cls = type(value)
        if not self._needs_walk:
            return is_lazy_class(cls)
        if is_taggable(cls):  # Its contents are inspected field by field.
            return False
        # Rows that name their subjects must be seen one by one.
        if not self.marked or enters_generator(cls):
            return is_lazy_class(cls)
        return is_iterator_class(cls) and shape.contents is not None

    def _make_steps(self, shape: Shape) -> Steps:
        """Return the checks around the steps of an iterator or coroutine.

        If its class was not annotated as iterable, an item may have the shape of the whole.
        """
        items = shape.iterated or shape
        whole = shape | items
        return Steps(
            self.enter,
            lambda item, use: self._filter_value(item, use, items, is_item=True),
            lambda value, use: self._filter_value(value, use, whole, is_item=False),
        )


_MOST_CLASSES: Final = 100
"""The greatest number of result classes that are remembered for a function as neither iterators nor coroutines."""


def wrap_access_function(fn: F, reader: AccessFunction) -> F:
    """Wrap a function so that it runs only if the ambient purpose may use its data."""
    quick = is_plain(fn) and reader.has_fast_path
    wrapper = (
        (wrap_in_counting_lookup if reader.counts else wrap_in_lookup)(fn, reader) if quick else wrap_body(fn, reader)
    )
    reader.wrapper = wrapper
    wrapper.__purposeguard_access__ = reader  # type: ignore[attr-defined]  # for the cache, which must check before it answers
    return wrapper  # type: ignore[return-value]  # a wrapper is typed as what it wraps


def _refuse_cached(fn: Any) -> None:
    """Refuse a function that is behind a cache, which would serve one purpose data that was read for another.

    Raises:
        TypeError: `fn` is behind a cache of functools or cachetools.
    """
    seen: set[int] = set()
    while fn is not None and id(fn) not in seen:
        seen.add(id(fn))
        if hasattr(fn, "cache_clear") or hasattr(fn, "cache_key"):
            name = Site.of(fn).dotted
            message = (
                f"{name} is behind a cache that knows no purposes, so it could serve one purpose what was read for "
                "another: take that cache away and put `@guard.cached(…)` above `@guard.access`"
            )
            raise TypeError(message)
        fn = getattr(fn, "func", None) if isinstance(fn, functools.partial) else getattr(fn, "__wrapped__", None)
