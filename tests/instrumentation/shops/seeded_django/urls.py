"""The routes."""

from django.contrib import admin
from django.urls import include, path
from rest_framework.routers import DefaultRouter

from tests.instrumentation.shops.seeded_django import views

router = DefaultRouter()
router.register("orders", views.Orders)

urlpatterns = [
    path("statistics", views.cache_object),
    path("middleware", views.use_middleware),
    path("template", views.show_template),
    path("context-processor", views.show_context),
    path("post-save", views.save_order),
    path("csv-export", views.export),
    path("stream", views.stream),
    path("exists", views.exist),
    path("subquery", views.subquery),
    path("update-from-column", views.copy),
    path("raw-cursor", views.use_cursor),
    path("driver-connection", views.use_driver),
    path("async-view", views.use_async),
    path("mail", views.mail),
    path("control", views.show_control),
    path("model-form", views.show_form),
    path("vars-of-instance", views.show_vars),
    path("thread", views.use_thread),
    path("on-commit", views.use_commit),
    path("error-handler", views.fail),
    *(path(name, views.answer(make)) for name, make in views.ANSWERS.items()),
    path("api/", include(router.urls)),
    path("admin/", admin.site.urls),
]

handler500 = views.answer_error
