"""Serialisers of the REST framework that leave out what a purpose may not use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.exceptions import FieldDoesNotExist

from purposeguard.adapters.django.rows import denied_fields
from purposeguard.adapters.django.tags import Model


class Withholding:
    """A base before `ModelSerializer`: a field that the purpose under way may not use is absent from the answer.

    ::

        class CustomerSerializer(Withholding, serializers.ModelSerializer):
            class Meta:
                model = Customer
                fields = ["id", "name", "last_scan"]

    Give it rows of `permitted(queryset)`, which are read without these columns. What is written to a field is validated
    as before. A method field says nothing of what it reads: a column that was left out is refused there.
    """

    Meta: Any

    def get_fields(self) -> dict[str, Any]:
        """Return the fields that are read and written now; raises as `permitted` does."""
        inherited: Any = super()
        fields: dict[str, Any] = inherited.get_fields()
        denied: dict[Model, frozenset[str]] = {}
        for name, field in list(fields.items()):
            source = getattr(field, "source", None) or name
            path = [] if source == "*" else list(_path(self.Meta.model, source))
            for model, _ in path:
                if model not in denied:
                    denied[model] = denied_fields(model)
            if any(part in denied[model] for model, part in path):
                if field.read_only:
                    del fields[name]
                else:
                    field.write_only = True
        return fields


def _path(model: Model, source: str) -> Iterator[tuple[Model, str]]:
    """Yield each field on the way of a source, `customer.name`, with its model."""
    for name in source.split("."):
        try:
            field = model._meta.get_field(name)
        except FieldDoesNotExist:  # a property or a method, which reads through the model
            return
        yield model, name
        if not field.is_relation or field.related_model is None:
            return
        model = field.related_model
