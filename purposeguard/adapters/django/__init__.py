"""Rows of Django: every statement of every connection is held to the notice before it runs.

Add the application `"purposeguard.adapters.django"` to `INSTALLED_APPS`, and set `PURPOSEGUARD_GUARD` to the guard. All
statements of the ORM, `raw`, the admin, management commands and cursors are then analysed with
`purposeguard.adapters.sql`, by the tags of the models' fields::

    class Customer(models.Model):
        name: Annotated[str, tm.Registration] = models.CharField(max_length=40)
        renews = models.DateField()

        class Privacy:
            renews = tm.Contract

`purposeguard.adapters.django.serializers` needs the REST framework.
"""

from purposeguard.extras import Needs, must_be_tested

with Needs(__name__, "django"):
    from purposeguard.adapters.django.querysets import permitted
    from purposeguard.adapters.django.tags import columns_of_model

    must_be_tested("django", "5.2", "6.1")

__all__ = ["columns_of_model", "permitted"]
