"""Requests of Django: views under their purposes, for WSGI and ASGI, and refusals as problem details.

An application of Django: `"purposeguard.integrations.django"` in `INSTALLED_APPS`, beside
`"purposeguard.adapters.django"`, which holds rows; the guard in `PURPOSEGUARD_GUARD`; and
`"purposeguard.integrations.django.PurposeMiddleware"` in `MIDDLEWARE`::

    @purpose(tm.RenewalGuidance, channel="email")
    def reminders(request): ...


    class Customers(PurposeMixin, ListView):
        purpose = tm.ProductProvision


    urlpatterns = [path("admin/", purposed(admin.site.urls, tm.ProductProvision))]
"""

from purposeguard.extras import Needs, must_be_tested

with Needs(__name__, "django"):
    from purposeguard.integrations.django.middleware import PurposeMiddleware
    from purposeguard.integrations.django.urls import purposed
    from purposeguard.integrations.django.views import PurposeMixin, purpose

    must_be_tested("django", "5.2", "6.1")

__all__ = ["PurposeMiddleware", "PurposeMixin", "purpose", "purposed"]
