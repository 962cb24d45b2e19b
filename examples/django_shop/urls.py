"""The URLs of the shop."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from rest_framework.routers import SimpleRouter

from examples.django_shop import api, mistakes, views
from purposeguard.integrations.django import purposed
from purposeguard.notices import trendmicro_jp as tm

router = SimpleRouter()
router.register("customers", api.CustomerViewSet, basename="customer")
router.register("renewals", api.RenewalViewSet, basename="renewal")

urlpatterns = [
    path("renewals", views.renewals),
    path("search", views.search),
    path("customers", views.Customers.as_view()),
    path("letters", views.Letters.as_view()),
    path("crashes", views.crashes),
    path("export", views.export),
    path("api/", include(router.urls)),
    path("office/", purposed(admin.site.urls, tm.ProductProvision)),
    path("mistakes/", include(mistakes.urlpatterns)),
]
