"""The same as a REST interface."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers, viewsets

from examples.django_shop.models import Contract, Customer
from purposeguard.adapters.django import permitted
from purposeguard.adapters.django.serializers import Withholding
from purposeguard.integrations.django import PurposeMixin
from purposeguard.notices import trendmicro_jp as tm


class ContractSerializer(Withholding, serializers.ModelSerializer):
    class Meta:
        model = Contract
        fields = ("product", "renews_on")


class CustomerSerializer(Withholding, serializers.ModelSerializer):
    contracts = ContractSerializer(many=True, read_only=True)

    class Meta:
        model = Customer
        fields = ("id", "name", "email", "last_scan", "contracts")


class CustomerViewSet(PurposeMixin, viewsets.ModelViewSet):
    """What support sees."""

    purpose: Any = tm.ProductProvision
    serializer_class = CustomerSerializer

    def get_queryset(self) -> Any:
        return permitted(Customer.objects.prefetch_related("contracts").order_by("id"))


class RenewalViewSet(CustomerViewSet):
    """The same rows for renewals: the last scan is no part of the answers."""

    purpose = tm.RenewalGuidance
    channel = "email"
