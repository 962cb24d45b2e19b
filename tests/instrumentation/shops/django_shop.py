"""A shop on Django, in one module, that does not know the library: prints the answers to some requests."""

import django
from django.conf import settings
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

settings.configure(
    SECRET_KEY="of a test",  # noqa: S106  # no secret
    ALLOWED_HOSTS=["testserver"],
    ROOT_URLCONF=__name__,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
)
django.setup()

from django.contrib.auth import authenticate, login, logout  # noqa: E402  # after the set-up
from django.contrib.auth.models import User  # noqa: E402  # after the set-up
from django.db import connection  # noqa: E402  # after the set-up
from django.test import Client  # noqa: E402  # after the set-up


def enter(request: HttpRequest) -> HttpResponse:
    user = authenticate(request, username="aiko", password="secret")  # noqa: S106  # no secret
    login(request, user)
    return JsonResponse({"name": user.get_username()})


def leave(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponse("bye")


def show(request: HttpRequest, name: str) -> HttpResponse:
    user = User.objects.get(username=name)
    user.first_name = "Aiko"
    user.save()
    return JsonResponse({"mail": request.user.email if request.user.is_authenticated else user.email})


def run_odd_statements(_: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA table_info(auth_user)")
        columns = len(cursor.fetchall())
        cursor.execute("SELECT max(email) FROM auth_user GROUP BY last_name HAVING count(*) > %s", [0])
        return JsonResponse({"columns": columns, "mails": cursor.fetchall(), "plan": User.objects.all().explain()})


urlpatterns = [
    path("enter", enter),
    path("leave", leave),
    path("users/<str:name>", show),
    path("odd", run_odd_statements),
]

if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    User.objects.create_user("aiko", "aiko@example.jp", "secret")
    client = Client(raise_request_exception=False)
    for url in ("/enter", "/users/aiko", "/users/nobody", "/odd", "/leave", "/users/aiko", "/nowhere"):
        response = client.get(url)
        headers = sorted(response.headers.items())
        print(url, response.status_code, headers, response.content, sorted(response.cookies))  # noqa: T201  # The test reads the output.
