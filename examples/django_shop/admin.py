"""The admin site for support."""

from __future__ import annotations

from django.contrib import admin

from examples.django_shop.models import Customer


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):
    list_display = ("name", "email", "last_scan")
    search_fields = ("name",)
