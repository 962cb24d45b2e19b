"""The activities of a service that can be run from outside: functions, methods, and routes of web applications."""

from __future__ import annotations

import dataclasses
import inspect
import operator
import re
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Annotated, Any, Final, get_args, get_origin

from pydantic import StringConstraints
from pydantic_core import to_jsonable_python

from purposeguard.extras import Needs
from purposeguard.integrations.asgi import get_declared_route, iter_layers, iter_routes
from purposeguard.runtime.registry import Activity
from purposeguard.testing._places import annotations_of
from purposeguard.values.annotations import is_taggable


@dataclass(frozen=True)
class Entry:
    """One activity.

    Attributes:
        name: The qualified name of a function, or the method and template of a route.
        call: Runs it, with keyword arguments.
        parameters: The annotation of each parameter that is drawn.
        optional: The parameters that have a default.
        module: The name of the module that defines it.
        members: The names of the activities that run one after the other; empty if it is one alone.
        activity: The activity that the function is decorated as, if it is.
        problem: Why it cannot be run; empty if it can.
        folders: Parameter of a path → the segment before it, which by convention names the rows it refers to.
    """

    name: str
    call: Callable[..., Any]
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    optional: frozenset[str] = frozenset()
    module: str = ""
    members: tuple[str, ...] = ()
    activity: Activity | None = None
    problem: str = ""
    folders: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def is_route(self) -> bool:
        """True for a route of a web application."""
        return "/" in self.name and not self.members


class RequestFailed(Exception):
    """The application answered a request with an error. `content` is the answer, where it is not an effect."""

    def __init__(self, status: int, content: object = None) -> None:
        super().__init__(f"status {status}")
        if content is not None:
            self.content = content


def find_entries(target: Any) -> list[Entry]:
    """Return the activities of a target, by name.

    Args:
        target: A module or package, of which all modules that are imported count; a function; an object, whose methods
            count; a web application of Starlette, FastAPI or Flask, or a test client of one.

    Raises:
        TypeError: `target` is none of these.
    """
    app = find_application(target)
    if app is not None:
        found = _list_routes(target, app)
    elif isinstance(target, ModuleType):
        found = [entry for module in list_submodules(target) for entry in _list_functions(module)]
    elif isinstance(target, (FunctionType, MethodType)):
        found = [_of_function(target)]
    elif isinstance(target, (type, str, bytes, int)) or target is None:
        raise TypeError(
            f"`check` takes a module, a function, an object with activities or a web application, not {target!r}"
        )
    else:
        found = list(_list_methods(target))
    return sorted(_name_apart(found), key=operator.attrgetter("name"))


def _name_apart(entries: Sequence[Entry]) -> Iterator[Entry]:
    """Yield the activities under names of their own: with its module where it is not the only one; a route once."""
    counts = Counter(map(operator.attrgetter("name"), entries))
    seen: set[str] = set()
    for entry in entries:
        name = entry.name if counts[entry.name] == 1 or entry.is_route else f"{entry.module}.{entry.name}"
        if name not in seen:
            seen.add(name)
            yield dataclasses.replace(entry, name=name)


def list_submodules(target: Any) -> list[ModuleType]:
    """Return a module, and the modules below it that are imported; nothing if the target is no module."""
    if not isinstance(target, ModuleType):
        return []
    name = target.__name__
    return [module for key, module in list(sys.modules.items()) if key == name or key.startswith(f"{name}.")]


def list_modules(target: Any, entries: Iterable[Entry]) -> list[ModuleType]:
    """Return the imported modules of a service, except its tests: those in the top-level packages of its activities.

    Modules without a package count with their neighbors.
    """
    names = {entry.module for entry in entries}
    if isinstance(target, ModuleType):
        names.add(target.__name__)
    folders: set[Path] = set()
    for name in names:
        module = sys.modules.get(name)
        top = sys.modules.get(name.partition(".")[0], module)
        for each in (module, top):
            file = getattr(each, "__file__", None)
            if file is not None and Path(file).parent.name not in _INSTALLED:
                folders.add(Path(file).parent)
    return [module for module in list(sys.modules.values()) if _is_in(module, folders)]


def _is_in(module: object, folders: Collection[Path]) -> bool:
    file = getattr(module, "__file__", None)
    if not isinstance(module, ModuleType) or not isinstance(file, str):
        return False
    path = Path(file)
    if (
        path.name == "conftest.py"
        or path.name.startswith("test_")
        or module.__name__.partition(".")[0] == "purposeguard"
    ):
        return False
    inside = [path.relative_to(folder).parts for folder in folders if path.is_relative_to(folder)]
    return any(_INSTALLED.isdisjoint(parts) for parts in inside)


_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})
"""Folders of libraries, which an environment within the folder of a service may have."""


# ---- Functions and methods ----------------------------------------------------------------------------------------


def _list_functions(module: ModuleType) -> Iterator[Entry]:
    """Yield the activities that a module defines: functions, and methods of its classes."""
    values = list(vars(module).values())
    for value in values:
        if getattr(value, "__module__", None) != module.__name__:
            continue
        if isinstance(value, type):
            yield from _list_class_methods(value, values)
        elif is_activity(value):
            yield _of_function(value)


def _list_class_methods(cls: type, values: Iterable[object]) -> Iterator[Entry]:
    """Yield the activities of a class, for its instance in the module or for one that is made without arguments."""
    if not any(map(is_activity, vars(cls).values())):
        return
    instance = next((value for value in values if type(value) is cls), None)
    if instance is None:
        try:
            instance = cls()
        except TypeError as error:
            problem = f"no instance of its class can be made ({error}): pass one, `check(instance)`"
            for name, member in vars(cls).items():
                if is_activity(member):
                    yield Entry(f"{cls.__qualname__}.{name}", cls, module=cls.__module__, problem=problem)
            return
    yield from _list_methods(instance)


def _list_methods(instance: Any) -> Iterator[Entry]:
    for name in dir(type(instance)):
        if is_activity(inspect.getattr_static(type(instance), name)):
            yield _of_function(getattr(instance, name))


def is_activity(value: Any) -> bool:
    """Return True if a function states a purpose: by a decorator, or by a block in its code."""
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    if getattr(value, "__purposeguard_access__", None) is not None:
        return False
    if getattr(value, "__purposeguard_activity__", None) is not None:
        return True
    code = getattr(inspect.unwrap(value) if callable(value) else value, "__code__", None)
    return code is not None and isinstance(value, FunctionType) and "purpose" in code.co_names


def _get_activity(fn: Any) -> Activity | None:
    activity = getattr(fn, "__purposeguard_activity__", None)
    return activity if isinstance(activity, Activity) else None


def _of_function(fn: Any) -> Entry:
    parameters, optional = _read_parameters(fn)
    name = fn.__qualname__.replace("<locals>.", "")
    return Entry(name, fn, parameters, optional, fn.__module__, activity=_get_activity(fn))


def _read_parameters(fn: Any) -> tuple[dict[str, Any], frozenset[str]]:
    hints = annotations_of(fn)
    parameters: dict[str, Any] = {}
    optional: set[str] = set()
    for name, parameter in inspect.signature(fn).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        parameters[name] = hints.get(name, parameter.empty)
        if parameter.default is not parameter.empty:
            optional.add(name)
    return parameters, frozenset(optional)


# ---- Routes -------------------------------------------------------------------------------------------------------


def find_application(target: Any) -> Any:
    """Return the web application that a target is, or that a test client holds; None if it is neither."""
    if isinstance(target, (ModuleType, FunctionType, MethodType)):
        return None
    for candidate in (target, getattr(target, "app", None), getattr(target, "application", None)):
        if hasattr(candidate, "url_map") or _has_routes(candidate):
            return candidate
    return None


def _has_routes(candidate: Any) -> bool:
    return callable(candidate) and any(
        isinstance(getattr(layer, "routes", None), list) for layer in iter_layers(candidate)
    )


def _list_routes(target: Any, app: Any) -> list[Entry]:
    if hasattr(app, "url_map"):
        client = target if target is not app else app.test_client()
        return list(_list_flask_routes(client, app))
    client = target
    if target is app:
        with Needs(__name__, "fastapi"):
            from starlette.testclient import TestClient  # noqa: PLC0415  # Only applications of Starlette need it.
        client = TestClient(app, raise_server_exceptions=False)
    return list(_list_starlette_routes(client, app))


_FIRST_ERROR: Final = 400
"""The first status of an answer that is an error."""
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_PARAMETER: Final = re.compile(r"{(\w+)(?::\w+)?}")


def _list_starlette_routes(client: Any, app: Any) -> Iterator[Entry]:
    for route, path in iter_routes(app):
        endpoint = getattr(get_declared_route(route), "endpoint", None)
        methods = getattr(route, "methods", None) or ()
        if endpoint is not None and getattr(get_declared_route(route), "include_in_schema", True):
            for method in filter(methods.__contains__, _METHODS):
                yield _of_starlette_route(client, method, path, endpoint)


def _of_starlette_route(client: Any, method: str, path: str, endpoint: Any) -> Entry:
    stated, optional = _read_parameters(endpoint)
    in_path = _PARAMETER.findall(path)
    parameters: dict[str, Any] = {name: _make_segment(stated.get(name, str)) for name in in_path}
    bodies: dict[str, bool] = {}
    for name, annotation in stated.items():
        marks = _list_marks(annotation, inspect.signature(endpoint).parameters[name].default)
        if name in in_path or not _is_sent(annotation, marks):
            continue
        parameters[name] = annotation
        if marks.keys() == {"Body"} or (method != "GET" and _is_body(annotation)):
            bodies[name] = bool(marks and marks["Body"].embed)
    template = _PARAMETER.sub(r"{\1}", path)

    def send(**values: Any) -> None:
        plain = to_jsonable_python(values)
        body = {name: plain.pop(name) for name in bodies if name in plain}
        here = {name: plain.pop(name) for name in in_path}
        is_whole = len(bodies) == 1 and not any(bodies.values())
        sent = next(iter(body.values()), None) if is_whole else body or None
        query = {name: value for name, value in plain.items() if value is not None}
        answer = client.request(method, template.format(**here), params=query, json=sent)
        if answer.status_code >= _FIRST_ERROR:
            raise RequestFailed(answer.status_code)

    return Entry(
        f"{method} {template}",
        send,
        parameters,
        optional & parameters.keys(),
        endpoint.__module__,
        activity=_get_activity(endpoint),
        folders=_read_folders(template),
    )


def _read_folders(template: str) -> dict[str, str]:
    """Return the segment before each parameter of a path, such as `customers` in `/customers/{customer_id}`."""
    return {name: folder for folder, name in _FOLDER.findall(template)}


_FOLDER: Final = re.compile(r"([^/{}<>]+)/(?=[{<](?:[^{}<>]*:)?(\w+)[}>])")


_SEGMENT: Final = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9]{1,12}$")]
"""A text between two slashes of a path."""


def _make_segment(annotation: Any) -> Any:
    """Return the annotation of a parameter in a path, whose texts have no slashes and are not empty."""
    return _SEGMENT if annotation is str else annotation


def _is_body(annotation: Any) -> bool:
    annotation = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    origin = get_origin(annotation)
    return is_taggable(origin or annotation) or origin is list or annotation is dict or origin is dict


def _list_marks(annotation: Any, default: Any) -> dict[str, Any]:
    """Return what FastAPI calls the parameter of a route, by the name of its class: `Query`, `Depends`."""
    marks = [*(get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()), default]
    return {type(mark).__name__: mark for mark in marks if type(mark).__module__.startswith("fastapi.")}


def _is_sent(annotation: Any, marks: Collection[str]) -> bool:
    """Return True if a client sends a parameter: not for dependencies, headers, requests and the like."""
    if marks:
        return set(marks) <= {"Query", "Body"}
    plain = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    return not getattr(plain, "__module__", "").startswith(("starlette.", "fastapi."))


def _list_flask_routes(client: Any, app: Any) -> Iterator[Entry]:
    for rule in app.url_map.iter_rules():
        if rule.endpoint == "static" or rule.endpoint.endswith(".static"):
            continue
        parameters = {
            name: _FLASK_TYPES.get(type(rule._converters[name]).__name__, _SEGMENT) for name in rule.arguments
        }
        for method in filter(rule.methods.__contains__, _METHODS):
            send = _make_flask_sender(client, app, rule, method)
            view = app.view_functions[rule.endpoint]
            name = f"{method} {rule.rule}"
            folders = _read_folders(rule.rule)
            own = _get_activity(view)
            yield Entry(name, send, parameters, frozenset(), view.__module__, activity=own, folders=folders)


_FLASK_TYPES: Final = {"IntegerConverter": int, "FloatConverter": float}


def _make_flask_sender(client: Any, app: Any, rule: Any, method: str) -> Callable[..., Any]:
    def send(**values: Any) -> Any:
        with app.test_request_context():
            path = app.url_for(rule.endpoint, **values)
        answer = client.open(path, method=method)
        content = sorted(answer.headers.items()), answer.get_data(as_text=True)
        if answer.status_code >= _FIRST_ERROR:
            raise RequestFailed(answer.status_code, content)
        return answer.status_code, content

    return send
