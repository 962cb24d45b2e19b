"""Settings for a developer's machine."""

from __future__ import annotations

import os
from pathlib import Path

from purposeguard import NotPersonal
from purposeguard.notices import trendmicro_jp as tm

_FOLDER = Path(os.environ.get("SHOP_FOLDER", "."))

SECRET_KEY = os.environ.get("SHOP_SECRET_KEY", "for development only")
DEBUG = False
ALLOWED_HOSTS = ["*"]
USE_TZ = True
ROOT_URLCONF = "examples.django_shop.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(_FOLDER / "shop.db")}}
STATIC_URL = "static/"

INSTALLED_APPS = [
    "purposeguard.adapters.django",  # before the applications whose rows it holds
    "purposeguard.integrations.django",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "examples.django_shop.apps.ShopConfig",
]
MIDDLEWARE = [
    # It stands first, so that the others have an entry point.
    "purposeguard.integrations.django.PurposeMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "UNAUTHENTICATED_USER": None,
}

PURPOSEGUARD_GUARD = "examples.django_shop.privacy.guard"
# What other people's applications keep. The staff are no customers, so the notice says nothing of them.
PURPOSEGUARD_TAGS = {
    "auth.User": NotPersonal,
    "sessions": NotPersonal,
    "admin.LogEntry": {
        **dict.fromkeys(("action_time", "object_id", "action_flag", "change_message"), NotPersonal),
        "object_repr": tm.Registration,  # the name of a customer
    },
}
GOVERNANCE_URL = f"sqlite:///{_FOLDER / 'privacy.db'}"
