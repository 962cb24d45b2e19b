"""Serializers of the REST framework that leave out the fields that a purpose may not use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.exceptions import FieldDoesNotExist

from purposeguard.adapters.django.querysets import find_denied_fields
from purposeguard.adapters.django.tags import Model


class Withholding:
    """A mixin for `ModelSerializer` that omits the fields that the purpose under way may not use from responses.

    ::

        class CustomerSerializer(Withholding, serializers.ModelSerializer):
            class Meta:
                model = Customer
                fields = ["id", "name", "last_scan"]

    Use it with rows of `permitted(queryset)`, which are read without these columns. Written fields are validated as
    usual. The serializer does not know which columns a method field reads, so reading a denied column there is refused.
    """

    Meta: Any

    def get_fields(self) -> dict[str, Any]:
        """Return the fields, without or write-only for denied ones. Raise the errors of `permitted`."""
        inherited: Any = super()
        fields: dict[str, Any] = inherited.get_fields()
        denied: dict[Model, frozenset[str]] = {}
        for name, field in list(fields.items()):
            source = getattr(field, "source", None) or name
            path = [] if source == "*" else list(_path(self.Meta.model, source))
            for model, _ in path:
                if model not in denied:
                    denied[model] = find_denied_fields(model)
            if any(part in denied[model] for model, part in path):
                if field.read_only:
                    del fields[name]
                else:
                    field.write_only = True
        return fields


def _path(model: Model, source: str) -> Iterator[tuple[Model, str]]:
    """Yield the model and name of each field on the path of a source such as `customer.name`."""
    for name in source.split("."):
        try:
            field = model._meta.get_field(name)
        except FieldDoesNotExist:  # a property or method reads through the model itself
            return
        yield model, name
        if not field.is_relation or field.related_model is None:
            return
        model = field.related_model
