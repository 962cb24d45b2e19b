"""Access functions: data is read only if the ambient purpose may use all its sources, or without the rest."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import Annotated, Any, Final, NewType, TypeVar, get_args, get_origin

from purposeguard.errors import UnlabelledData, hide_own_frames
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import is_union
from purposeguard.runtime.engine import Engine
from purposeguard.runtime.registry import WHOLE, Access
from purposeguard.runtime.site import Site
from purposeguard.runtime.use import Use, authorize, require_current_use, use_for_call
from purposeguard.runtime.wrapping import Function, require_function, wrap_body
from purposeguard.values.annotations import (
    ALIASES,
    OPAQUE,
    TRANSPARENT,
    alias_value,
    evaluate_annotation,
    is_taggable,
    read_function_annotations,
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
from purposeguard.values.type_schema import Shape, read_shape, resolve_hints
from purposeguard.values.undeclared import label_with, shapes_beside_fields

F = TypeVar("F", bound=Callable[..., Any])


class AccessFunction:
    """One access function: what it reads, and what surrounds its body."""

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
        """`localns` are the names around a function that is defined inside another."""
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
        self.wrapper: Function | None = None
        self._fn = fn
        self._engine = engine
        self._shape: Shape | None = None
        self._label_outside_rows: Label | None = None
        self._yields = callable_kind(fn) in ("generator", "async generator")
        self._may_contain_lazy_values = False
        self.marked = False
        self.needs_inspection = False
        self.eager_classes: set[type] = set()
        try:
            self.resolve(localns)
        except NameError:
            # The annotation names what is defined later in the module: asked again at the first call.
            if named is not None and not withhold:
                self.access.label = named

    def resolve(self, localns: Mapping[str, Any] | None = None) -> Label | None:
        """Return the label of all that the function reads plain; None where all of it is sealed.

        Raises:
            UnlabelledData: neither the decorator nor the return annotation names a source; or a field says nothing,
                and the guard refuses that.
            NameError: the annotation names what is not defined (yet).
        """
        access = self.access
        annotation = _return_annotation(self._fn, localns)
        shape = read_shape(annotation)
        fields, seals = shape.labels(), shape.seals()
        label = Label.join(*fields.values()) if fields else None
        beside = shapes_beside_fields(shape)
        if access.named is None and not access.withhold:  # else it is looked at in each row
            label = label_with(label, beside)
        if access.named is not None:
            label = access.named | label if label is not None and access.withhold else access.named
        # What is sealed is checked where it is opened: to return nothing else takes a purpose, and no more.
        if label is None and not shape.holds_seals:
            raise UnlabelledData(
                f"{access.name}: neither its return annotation nor the decorator names a source; annotate it with a "
                "tagged model, or name the sources: `@guard.access(Source, …)`"
            )
        if access.withhold and not fields and not shape.holds_seals:
            raise UnlabelledData(
                f"{access.name}: withholding needs a return annotation whose fields are tagged: a model, or a "
                "TypedDict for rows"
            )
        if shape.is_marked_itself:
            raise UnlabelledData(
                f"{access.name}: its return annotation bears a mark, which belongs on a field of the rows that it "
                "returns"
            )
        self.marked = shape.is_marked or any(part.is_marked for part in beside)
        # What is announced as sealed and comes plain is seen when it is there.
        self.needs_inspection = self.marked or shape.holds_seals
        if access.narrow and not self.marked:
            raise UnlabelledData(
                f"{access.name}: narrowing needs a return annotation whose rows say whose they are: mark a field, "
                "`Annotated[int, Subject]`"
            )
        if self._engine.untagged_refused:
            self._refuse_untagged(shape)
        outside = {source for part in shape.iter_outside_rows() for source in part.tags}
        outside |= access.named.sources if access.named is not None else frozenset()
        self._label_outside_rows = Label(*outside) if outside else None
        for one in (label, *seals.values()):
            if one is not None:
                self._engine.snapshot.matrix.resolve_label(one)  # sources of another notice are refused here
        access.whole = shape.own_label
        access.fields = {_strip_containers(path): one for path, one in fields.items() if path}
        access.sealed = {_strip_containers(path) or WHOLE: one for path, one in seals.items()}
        self._may_contain_lazy_values = _may_contain_lazy_values(annotation)
        access.label, self._shape = label, shape
        return label

    def _refuse_untagged(self, shape: Shape) -> None:
        """Raise UnlabelledData where fields say nothing of what they are."""
        names = dict.fromkeys(
            _strip_containers(path) for path, field in shape.iter_untagged() if path and not field.is_marked_itself
        )
        if names:
            raise UnlabelledData(
                f"{self.access.name}: nothing says what {', '.join(f'`{name}`' for name in names)} "
                f'{"is" if len(names) == 1 else "are"}, and this guard has `untagged="refuse"`: tag each field, with '
                "`NotPersonal` where it is not personal"
            )

    def resolve_label(self) -> Label | None:
        """Return the label, resolved by now; None where all that is read is sealed.

        Raises:
            UnlabelledData: its annotation still is not resolved, and no sources are named that would do.
        """
        access = self.access
        if self._shape is not None:
            return access.label
        try:
            return self.resolve()
        except NameError as error:
            if access.named is None or access.withhold or access.narrow or self._engine.untagged_refused:
                raise UnlabelledData(
                    f"{access.name}: its return annotation names `{error.name}`, which is not defined"
                ) from error
        # Its rows are known by what they are. The shape comes last: it tells other threads that the rest is settled.
        self._label_outside_rows, self.marked, self.needs_inspection = access.named, True, True
        self._shape = Shape()
        return access.label

    @property
    def has_fast_path(self) -> bool:
        """Whether all that it is asked is one label: nothing is withheld, and nothing in it says whose it is."""
        return not (self.access.withhold or self.marked or self._may_contain_lazy_values) and self._shape is not None

    @property
    def _needs_walk(self) -> bool:
        """Whether what the function gives is looked through before it is given out."""
        return self.access.withhold or self.needs_inspection or self._may_contain_lazy_values

    def belongs_to(self, engine: Engine) -> bool:
        """Return True if it is decided by this guard's notice."""
        return self._engine is engine

    def authorize(self) -> Use[Any] | None:
        """Raise PurposeMissing or PurposeViolation where the function may not run here."""
        label = self.resolve_label()
        if self.access.withhold or label is None:
            use = use_for_call(self._engine, self.access)
            if use is not None and self.access.named is not None:
                refusal = use._check_label(self.access.named, access=self.access)
                if refusal is not None:
                    self._engine.refuse(refusal, use, self.access)
            return use
        if self.marked:
            return self._authorize_rows(label)
        return authorize(self._engine, self.access, label)

    def _authorize_rows(self, label: Label) -> Use[Any] | None:
        """As `authorise`, of rows that will say whose they are: what that decides is decided when they are there."""
        use = use_for_call(self._engine, self.access)
        if use is not None:
            refusal = use._check_label_before_rows(label, self._label_outside_rows, self.access)
            if refusal is not None:
                self._engine.refuse(refusal, use, self.access)
        return use

    def run_authorized(self, *args: Any, **kwargs: Any) -> Any:
        """What is to be kept, for a caller that has just called `authorise` in the same context."""
        return self._result_to_cache(self._fn(*args, **kwargs))

    async def run_authorized_coroutine(self, *args: Any, **kwargs: Any) -> Any:
        """Return the same for a coroutine function."""
        return self._result_to_cache(await self._fn(*args, **kwargs))

    def _result_to_cache(self, value: Any) -> Any:
        if is_lazy_class(type(value)):
            raise TypeError(
                f"{self.access.name} gave a {type(value).__name__}, which is used up by the first who asks: give a "
                "list, which `guard.cached` can keep"
            )
        return value if self.needs_inspection else self._filter_result(value)

    def result_from_cache(self, value: Any) -> Any:
        """What a caller gets for what was kept: of rows that say whose they are, what may be used now."""
        try:
            return self._filter_result(value) if self.needs_inspection else value
        finally:
            del value  # from the traceback, where it is refused

    def _filter_result(self, value: Any) -> Any:
        try:
            use = self.ambient()
            if use.active:
                return self.filter_result(value, use)
            if not self._engine.observing:  # the function has left the block that it was called in
                require_current_use(self._engine, f"{self.access.name} was called")
            return value
        finally:
            del value  # from the traceback, where it is refused

    def _inspect_result(self, value: Any) -> Any:
        """What a function without withholding or marks gave, once what was announced as sealed is seen to be."""
        shape = self._shape
        if isinstance(value, Sealed) and shape is not None and shape.sealed:
            return value
        plan = shape.plans.get(type(value)) if shape is not None else None
        if plan is not None and plan.is_as_announced(value):
            return value
        try:
            return self._filter_result(value)
        finally:
            del value  # from the traceback, where it is refused

    def authorize_and_get_label(self) -> Label | None:
        """The label of a function without withholding, once it may run here: `authorise`, quicker for counted uses."""
        self.authorize()
        return self.access.label

    # What surrounds the body (wrapping.Around): the check comes before it runs or goes on, what it may not give after.

    enter = authorize

    def enter_for_cleanup(self) -> None:
        """Cleaning up reads nothing."""

    def leave(self, token: Use[Any] | None) -> None:
        """Nothing was opened that would have to be closed."""

    def filter_result(self, value: Any, token: Use[Any] | None) -> Any:
        """What the function gave, without what the purpose may not use where the access withholds."""
        shape = self._shape or Shape()
        if self._yields and shape.contents is not None:
            shape = shape.contents  # one item at a time
        try:
            return self._filter_value(value, token, shape, one=self._yields)
        finally:
            del value  # from the traceback, where it is refused

    def check_lazily(self, value: Any) -> Any:
        """What a function without withholding or marks gave: what runs later asks at each step."""
        if self.needs_inspection:
            return self._inspect_result(value)
        cls = type(value)
        if is_lazy_class(cls):
            return self._filter_value(value, None, self._shape or Shape(), one=False)
        if len(self.eager_classes) < _MOST_CLASSES:
            self.eager_classes.add(cls)
        return value

    def _filter_value(self, value: Any, token: Use[Any] | None, shape: Shape, *, one: bool) -> Any:
        """What is given out for a value of this shape. `one`: it is an item, and may be left out itself."""
        access = self.access
        try:
            if self._is_lazy(value, shape):
                return wrap_stepwise(value, self._make_steps(shape))
            if token is None or not self._needs_walk:
                return value
            from purposeguard.runtime.results import filter_rows, withhold_denied_fields, wrap_lazy_values  # noqa: PLC0415  # loaded by the first result that is looked through

            if self.needs_inspection and (access.narrow or not access.withhold or access.named is not None):
                value = filter_rows(token, value, shape, access, one=one, again=self.enter)
                if value is LEFT_OUT:
                    return value
            if self.marked and not access.withhold and access.label is not None:
                token._count_rows(access.label)
            if access.withhold:
                return withhold_denied_fields(token, value, shape, access, again=self.enter)
            return wrap_lazy_values(token, value, shape, self.enter) if self._may_contain_lazy_values else value
        finally:
            del value  # from the traceback, where it is refused

    def _is_lazy(self, value: Any, shape: Shape) -> bool:
        cls = type(value)
        if not self._needs_walk:
            return is_lazy_class(cls)
        if is_taggable(cls):  # what is in it is looked at by its fields
            return False
        # Of rows that say whose they are it must be seen where they come.
        if not self.marked or enters_generator(cls):
            return is_lazy_class(cls)
        return is_iterator_class(cls) and shape.contents is not None

    def _make_steps(self, shape: Shape) -> Steps:
        """What surrounds the steps of what runs later; of a class that was not announced, an item may be all of it."""
        items = shape.iterated or shape
        whole = shape | items
        return Steps(
            self.enter,
            lambda item, use: self._filter_value(item, use, items, one=True),
            lambda value, use: self._filter_value(value, use, whole, one=False),
        )


_MOST_CLASSES: Final = 100
"""Classes of results that a function is known to give and that do not run later."""


def wrap_access_function(fn: F, reader: AccessFunction) -> F:
    """Return `fn`, which runs only where the ambient purpose may use what it reads."""
    quick = is_plain(fn) and reader.has_fast_path
    wrapper = (_wrap_counting if reader.counts else _wrap_fast)(fn, reader) if quick else wrap_body(fn, reader)
    reader.wrapper = wrapper
    wrapper.__purposeguard_access__ = reader  # type: ignore[attr-defined]  # for the cache, which must check before it answers
    return wrapper  # type: ignore[return-value]  # a wrapper is typed as what it wraps


def _wrap_fast(fn: Function, reader: AccessFunction) -> Function:
    """Return the wrapper of a plain function: what was allowed before is one look-up in the ambient use."""
    innermost = reader.innermost
    label = reader.access.label
    at_rest = reader.eager_classes

    @functools.wraps(fn)
    def access_wrapper(*args: Any, **kwargs: Any) -> Any:
        nonlocal label
        use = innermost()
        try:
            try:
                known = label in use._allowed_labels and use._owner == use._runs()
            except (RuntimeError, ReferenceError):  # it was entered where a loop runs, or in a greenlet that is gone
                known = False
            if not known:
                label = reader.authorize_and_get_label()
            value = fn(*args, **kwargs) if kwargs else fn(*args)  # without keywords no dict is copied
            return value if type(value) in at_rest else reader.check_lazily(value)
        except BaseException as error:
            hide_own_frames(error)
            raise

    return access_wrapper


def _wrap_counting(fn: Function, reader: AccessFunction) -> Function:
    """Return the same where each use is counted."""
    innermost = reader.innermost
    label = reader.access.label
    at_rest = reader.eager_classes

    @functools.wraps(fn)
    def access_wrapper(*args: Any, **kwargs: Any) -> Any:
        nonlocal label
        use = innermost()
        try:
            try:
                tick = use._counted.get(label) if use._owner == use._runs() else None
            except (RuntimeError, ReferenceError):  # it was entered where a loop runs, or in a greenlet that is gone
                tick = None
            if tick is None:
                label = reader.authorize_and_get_label()
            else:
                tick()
            value = fn(*args, **kwargs) if kwargs else fn(*args)  # without keywords no dict is copied
            return value if type(value) in at_rest else reader.check_lazily(value)
        except BaseException as error:
            hide_own_frames(error)
            raise

    return access_wrapper


def _may_contain_lazy_values(annotation: Any) -> bool:
    """Return True if there is an iterator or a coroutine inside of what is annotated like this, or may be.

    What is one itself, or gives another one, is seen where it comes.
    """
    seen: set[tuple[Any, bool]] = set()
    pending: list[tuple[Any, bool]] = [(annotation, False)]
    while pending:
        part, is_inside = pending.pop()
        origin = get_origin(part) or part
        if isinstance(origin, list) or origin in OPAQUE:
            continue
        if isinstance(origin, NewType):
            pending.append((origin.__supertype__, is_inside))
            continue
        later = isinstance(origin, type) and is_lazy_class(origin)
        if is_inside and (later or origin in (Iterable, AsyncIterable)):
            return True
        if (origin, is_inside) not in seen:  # Classes and aliases may hold themselves.
            seen.add((origin, is_inside))
            if isinstance(origin, ALIASES):
                pending.append((alias_value(origin), is_inside))
            elif is_taggable(origin):
                pending += ((hint, True) for hint in resolve_hints(origin).values())
        passed = later or origin is Annotated or is_union(part) or origin in TRANSPARENT
        pending += ((argument, is_inside or not passed) for argument in get_args(part))
    return False


def _strip_containers(path: str) -> str:
    """Return a path without the containers that the models come in: that they are a list says nothing of the field."""
    while path.startswith("[]."):
        path = path[3:]
    return path


def _return_annotation(fn: Function, localns: Mapping[str, Any] | None) -> Any:
    """What a function is annotated to return, names resolved; None where it says nothing.

    Raises:
        NameError: a name is not defined.
    """
    # Only the return annotation is asked for: those of parameters may name what exists for type checkers alone.
    annotations, names, around = read_function_annotations(fn, localns)
    return evaluate_annotation(annotations.get("return"), names, around)


def _refuse_cached(fn: Any) -> None:
    """A cache below an access function would give one purpose what was read for another.

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
