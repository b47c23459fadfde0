"""A site of two tenants, a and b, each at its host."""

from contextvars import ContextVar

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.db import connection
from django.http import HttpResponse
from django.urls import path
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response

tenant = ContextVar("tenant", default="a")


def enter(name):
    if settings.KIND == "manager":
        from tests.tenants.models import here

        here.tenant = name
    elif settings.KIND == "schema":
        connection.set_schema(name)
    else:
        tenant.set(name)


class TenantMiddleware:
    """Activate the host's tenant until the response."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        enter(request.get_host().partition(".")[0])
        try:
            return self.get_response(request)
        finally:
            enter("a")


class Router:
    def db_for_read(self, model, **hints):
        return tenant.get()

    db_for_write = db_for_read

    def allow_relation(self, *args, **hints):
        return True


class Backend(ModelBackend):
    def user_can_authenticate(self, user):
        return super().user_can_authenticate(user) and user.username == f"of {tenant.get()}"


def answer(user):
    return HttpResponse(user.username if user.is_authenticated else "", status=200 if user.is_authenticated else 401)


def plain(request):
    return answer(request.user)


def flag(request):
    """Return whether a user is signed in, without reading the user: a remembered session needs no query."""
    return HttpResponse(status=200 if request.user.is_authenticated else 401)


def key(request):
    return HttpResponse(str(request.user.pk), status=401 if request.user.pk is None else 200)


async def loaded(request):
    return answer(await request.auser())


@api_view(["GET"])
@permission_classes([IsAuthenticated])
def drf(request):
    return Response(request.user.pk)


urlpatterns = [
    path("flag/", flag),
    path("key/", key),
    path("plain/", plain),
    path("drf/", drf),
    path("loaded/", loaded),
]
