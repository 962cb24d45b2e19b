"""The settings, which a program may change before `main` uses them."""

from typing import Any

APP = __package__

SETTINGS: dict[str, Any] = {
    "SECRET_KEY": "of a test",
    "ALLOWED_HOSTS": ["testserver"],
    "ROOT_URLCONF": f"{APP}.urls",
    "AUTH_USER_MODEL": "seeded_django.Member",
    "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
    "DATABASES": {
        name: {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{name}.db"} for name in ("default", "archive")
    },
    "CACHES": {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
    "EMAIL_BACKEND": "django.core.mail.backends.locmem.EmailBackend",
    "INSTALLED_APPS": [
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "rest_framework",
        APP,
    ],
    "MIDDLEWARE": [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        f"{APP}.views.look_at_member",
    ],
    "TEMPLATES": [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                    f"{APP}.views.add_device",
                ]
            },
        }
    ],
}
