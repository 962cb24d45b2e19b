"""The REST interface."""

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
    """Customers for support."""

    purpose: Any = tm.ProductProvision
    serializer_class = CustomerSerializer

    def get_queryset(self) -> Any:
        return permitted(Customer.objects.prefetch_related("contracts").order_by("id"))


class RenewalViewSet(CustomerViewSet):
    """Customers for renewals. The last scan is not in the answers."""

    purpose = tm.RenewalGuidance
    channel = "email"
