"""The shop's tables. Fields are tagged in their annotation, or by name in `class Privacy`."""

from __future__ import annotations

from typing import Annotated

from django.db import models

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm


class Customer(models.Model):
    id: Annotated[int, pg.Subject] = models.BigAutoField(primary_key=True)
    name: Annotated[str, tm.Registration] = models.CharField(max_length=40)
    email: Annotated[str, tm.Registration] = models.EmailField()
    last_scan: Annotated[str, tm.ProductData] = models.CharField(max_length=10, blank=True)

    def __str__(self) -> str:
        return str(self.name)


class Contract(models.Model):
    """A contract of a customer. A foreign key to a subject says whose row it is."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="contracts")
    product = models.CharField(max_length=20)
    renews_on = models.DateField()

    class Privacy:
        product = tm.Contract
        renews_on = tm.Contract


class Event(models.Model):
    """A report of a product in use."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="events")
    product = models.CharField(max_length=20)
    kind = models.CharField(max_length=10)
    seconds = models.FloatField(default=0)
    details = models.JSONField(default=dict)

    class Privacy:
        product = tm.ProductData
        kind = tm.ProductData
        seconds = tm.ProductData
        details = tm.ProductData


class Segment(models.Model):
    """Groups of customers for letters."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="segments")
    title = models.CharField(max_length=20)

    class Privacy:
        title = tm.Contract
