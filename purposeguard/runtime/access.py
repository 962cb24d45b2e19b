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
from purposeguard.runtime.use import Use, authorise, called, present
from purposeguard.runtime.wrapping import Function, must_be_function, surrounded
from purposeguard.values.annotations import ALIASES, OPAQUE, TRANSPARENT, alias_value, evaluated, is_taggable, written
from purposeguard.values.callables import is_plain, kind_of
from purposeguard.values.sealed import Sealed
from purposeguard.values.streams import LEFT_OUT, Steps, enters_generator, iterates, runs_later, stepwise
from purposeguard.values.type_schema import Shape, hints_of, shape_of
from purposeguard.values.undeclared import label_with, shapes_beside_fields

F = TypeVar("F", bound=Callable[..., Any])


class Reader:
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
        must_be_function(fn)
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
        self._outside: Label | None = None
        self._yields = kind_of(fn) in ("generator", "async generator")
        self._holds_later = False
        self.marked = False
        self.looked_at = False
        self.at_rest: set[type] = set()
        try:
            self.resolve(localns)
        except NameError:
            # The annotation names what is defined later in the module: asked again at the first call.
            if named is not None and not withhold:
                self.access.label = named

    def resolve(self, localns: Mapping[str, Any] | None = None) -> Label | None:
        """The label of all that the function reads plain; None where all of it is sealed.

        Raises:
            UnlabelledData: neither the decorator nor the return annotation names a source; or a field says nothing,
                and the guard refuses that.
            NameError: the annotation names what is not defined (yet).
        """
        access = self.access
        annotation = _return_annotation(self._fn, localns)
        shape = shape_of(annotation)
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
        self.looked_at = self.marked or shape.holds_seals
        if access.narrow and not self.marked:
            raise UnlabelledData(
                f"{access.name}: narrowing needs a return annotation whose rows say whose they are: mark a field, "
                "`Annotated[int, Subject]`"
            )
        if self._engine.untagged_refused:
            self._refuse_untagged(shape)
        outside = {source for part in shape.outside_rows() for source in part.tags}
        outside |= access.named.sources if access.named is not None else frozenset()
        self._outside = Label(*outside) if outside else None
        for one in (label, *seals.values()):
            if one is not None:
                self._engine.snapshot.matrix.label(one)  # sources of another notice are refused here
        access.whole = shape.own_label
        access.fields = {_field(path): one for path, one in fields.items() if path}
        access.sealed = {_field(path) or WHOLE: one for path, one in seals.items()}
        self._holds_later = _holds_later(annotation)
        access.label, self._shape = label, shape
        return label

    def _refuse_untagged(self, shape: Shape) -> None:
        """Raises UnlabelledData where fields say nothing of what they are."""
        names = dict.fromkeys(_field(path) for path, field in shape.untagged() if path and not field.is_marked_itself)
        if names:
            raise UnlabelledData(
                f"{self.access.name}: nothing says what {', '.join(f'`{name}`' for name in names)} "
                f'{"is" if len(names) == 1 else "are"}, and this guard has `untagged="refuse"`: tag each field, with '
                "`NotPersonal` where it is not personal"
            )

    def label(self) -> Label | None:
        """The label, resolved by now; None where all that is read is sealed.

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
        self._outside, self.marked, self.looked_at = access.named, True, True
        self._shape = Shape()
        return access.label

    @property
    def settles_quickly(self) -> bool:
        """Whether all that it is asked is one label: nothing is withheld, and nothing in it says whose it is."""
        return not (self.access.withhold or self.marked or self._holds_later) and self._shape is not None

    @property
    def _looks_inside(self) -> bool:
        """Whether what the function gives is looked through before it is given out."""
        return self.access.withhold or self.looked_at or self._holds_later

    def belongs_to(self, engine: Engine) -> bool:
        """Whether it is decided by this guard's notice."""
        return self._engine is engine

    def authorise(self) -> Use[Any] | None:
        """Raises PurposeMissing or PurposeViolation where the function may not run here."""
        label = self.label()
        if self.access.withhold or label is None:
            use = called(self._engine, self.access)
            if use is not None and self.access.named is not None:
                refusal = use._refusal(self.access.named, access=self.access)
                if refusal is not None:
                    self._engine.refuse(refusal, use, self.access)
            return use
        if self.marked:
            return self._authorise_rows(label)
        return authorise(self._engine, self.access, label)

    def _authorise_rows(self, label: Label) -> Use[Any] | None:
        """As `authorise`, of rows that will say whose they are: what that decides is decided when they are there."""
        use = called(self._engine, self.access)
        if use is not None:
            refusal = use._refusal_later(label, self._outside, self.access)
            if refusal is not None:
                self._engine.refuse(refusal, use, self.access)
        return use

    def run_authorised(self, *args: Any, **kwargs: Any) -> Any:
        """What is to be kept, for a caller that has just called `authorise` in the same context."""
        return self._kept(self._fn(*args, **kwargs))

    async def run_authorised_coroutine(self, *args: Any, **kwargs: Any) -> Any:
        """The same for a coroutine function."""
        return self._kept(await self._fn(*args, **kwargs))

    def _kept(self, value: Any) -> Any:
        if runs_later(type(value)):
            raise TypeError(
                f"{self.access.name} gave a {type(value).__name__}, which is used up by the first who asks: give a "
                "list, which `guard.cached` can keep"
            )
        return value if self.looked_at else self._result_here(value)

    def answered(self, value: Any) -> Any:
        """What a caller gets for what was kept: of rows that say whose they are, what may be used now."""
        try:
            return self._result_here(value) if self.looked_at else value
        finally:
            del value  # from the traceback, where it is refused

    def _result_here(self, value: Any) -> Any:
        try:
            use = self.ambient()
            if use.active:
                return self.result(value, use)
            if not self._engine.observing:  # the function has left the block that it was called in
                present(self._engine, f"{self.access.name} was called")
            return value
        finally:
            del value  # from the traceback, where it is refused

    def _looked_through(self, value: Any) -> Any:
        """What a function without withholding or marks gave, once what was announced as sealed is seen to be."""
        shape = self._shape
        if isinstance(value, Sealed) and shape is not None and shape.sealed:
            return value
        plan = shape.plans.get(type(value)) if shape is not None else None
        if plan is not None and plan.is_as_announced(value):
            return value
        try:
            return self._result_here(value)
        finally:
            del value  # from the traceback, where it is refused

    def settled(self) -> Label | None:
        """The label of a function without withholding, once it may run here: `authorise`, quicker for counted uses."""
        self.authorise()
        return self.access.label

    # What surrounds the body (wrapping.Around): the check comes before it runs or goes on, what it may not give after.

    before = authorise

    def closing(self) -> None:
        """Cleaning up reads nothing."""

    def after(self, token: Use[Any] | None) -> None:
        """Nothing was opened that would have to be closed."""

    def result(self, value: Any, token: Use[Any] | None) -> Any:
        """What the function gave, without what the purpose may not use where the access withholds."""
        shape = self._shape or Shape()
        if self._yields and shape.contents is not None:
            shape = shape.contents  # one item at a time
        try:
            return self._given(value, token, shape, one=self._yields)
        finally:
            del value  # from the traceback, where it is refused

    def stepwise(self, value: Any) -> Any:
        """What a function without withholding or marks gave: what runs later asks at each step."""
        if self.looked_at:
            return self._looked_through(value)
        cls = type(value)
        if runs_later(cls):
            return self._given(value, None, self._shape or Shape(), one=False)
        if len(self.at_rest) < _MOST_CLASSES:
            self.at_rest.add(cls)
        return value

    def _given(self, value: Any, token: Use[Any] | None, shape: Shape, *, one: bool) -> Any:
        """What is given out for a value of this shape. `one`: it is an item, and may be left out itself."""
        access = self.access
        try:
            if self._runs_later(value, shape):
                return stepwise(value, self._steps(shape))
            if token is None or not self._looks_inside:
                return value
            from purposeguard.runtime.results import narrowed, with_steps, without  # noqa: PLC0415  # loaded by the first result that is looked through

            if self.looked_at and (access.narrow or not access.withhold or access.named is not None):
                value = narrowed(token, value, shape, access, one=one, again=self.before)
                if value is LEFT_OUT:
                    return value
            if self.marked and not access.withhold and access.label is not None:
                token._rows_given(access.label)
            if access.withhold:
                return without(token, value, shape, access, again=self.before)
            return with_steps(token, value, shape, self.before) if self._holds_later else value
        finally:
            del value  # from the traceback, where it is refused

    def _runs_later(self, value: Any, shape: Shape) -> bool:
        cls = type(value)
        if not self._looks_inside:
            return runs_later(cls)
        if is_taggable(cls):  # what is in it is looked at by its fields
            return False
        # Of rows that say whose they are it must be seen where they come.
        if not self.marked or enters_generator(cls):
            return runs_later(cls)
        return iterates(cls) and shape.contents is not None

    def _steps(self, shape: Shape) -> Steps:
        """What surrounds the steps of what runs later; of a class that was not announced, an item may be all of it."""
        items = shape.gives or shape
        whole = shape | items
        return Steps(
            self.before,
            lambda item, use: self._given(item, use, items, one=True),
            lambda value, use: self._given(value, use, whole, one=False),
        )


_MOST_CLASSES: Final = 100
"""Classes of results that a function is known to give and that do not run later."""


def access_function(fn: F, reader: Reader) -> F:
    """`fn`, which runs only where the ambient purpose may use what it reads."""
    quick = is_plain(fn) and reader.settles_quickly
    wrapper = (_counting if reader.counts else _quick)(fn, reader) if quick else surrounded(fn, reader)
    reader.wrapper = wrapper
    wrapper.__purposeguard_access__ = reader  # type: ignore[attr-defined]  # for the cache, which must check before it answers
    return wrapper  # type: ignore[return-value]  # a wrapper is typed as what it wraps


def _quick(fn: Function, reader: Reader) -> Function:
    """The wrapper of a plain function: what was allowed before is one look-up in the ambient use."""
    innermost = reader.innermost
    label = reader.access.label
    at_rest = reader.at_rest

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
                label = reader.settled()
            value = fn(*args, **kwargs) if kwargs else fn(*args)  # without keywords no dict is copied
            return value if type(value) in at_rest else reader.stepwise(value)
        except BaseException as error:
            hide_own_frames(error)
            raise

    return access_wrapper


def _counting(fn: Function, reader: Reader) -> Function:
    """The same where each use is counted."""
    innermost = reader.innermost
    label = reader.access.label
    at_rest = reader.at_rest

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
                label = reader.settled()
            else:
                tick()
            value = fn(*args, **kwargs) if kwargs else fn(*args)  # without keywords no dict is copied
            return value if type(value) in at_rest else reader.stepwise(value)
        except BaseException as error:
            hide_own_frames(error)
            raise

    return access_wrapper


def _holds_later(annotation: Any) -> bool:
    """Whether there is an iterator or a coroutine inside of what is annotated like this, or may be.

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
        later = isinstance(origin, type) and runs_later(origin)
        if is_inside and (later or origin in (Iterable, AsyncIterable)):
            return True
        if (origin, is_inside) not in seen:  # Classes and aliases may hold themselves.
            seen.add((origin, is_inside))
            if isinstance(origin, ALIASES):
                pending.append((alias_value(origin), is_inside))
            elif is_taggable(origin):
                pending += ((hint, True) for hint in hints_of(origin).values())
        passed = later or origin is Annotated or is_union(part) or origin in TRANSPARENT
        pending += ((argument, is_inside or not passed) for argument in get_args(part))
    return False


def _field(path: str) -> str:
    """A path without the containers that the models come in: that they are a list says nothing of the field."""
    while path.startswith("[]."):
        path = path[3:]
    return path


def _return_annotation(fn: Function, localns: Mapping[str, Any] | None) -> Any:
    """What a function is annotated to return, names resolved; None where it says nothing.

    Raises:
        NameError: a name is not defined.
    """
    # Only the return annotation is asked for: those of parameters may name what exists for type checkers alone.
    annotations, names, around = written(fn, localns)
    return evaluated(annotations.get("return"), names, around)


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
