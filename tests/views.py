"""Views of the test project: login, logout, and each way to read the user of a request."""

import asyncio
import time

from django.contrib.auth import get_user_model
from django.db import router, transaction
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.template import engines
from django.views.decorators.csrf import csrf_exempt
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from jwtauth import (
    act_as,
    alogin,
    alogout,
    aupdate_session_auth_hash,
    login,
    logout,
    stop_acting,
    update_session_auth_hash,
)
from jwtauth.internal.store import clock as _clock
from jwtauth.models import Session


def user_named(request):
    model = get_user_model()
    return model._base_manager.using(router.db_for_write(model)).get(pk=request.GET["user"])


@api_view(["POST"])
def login_view(request):
    lifetime = int(request.GET["lifetime"]) if "lifetime" in request.GET else None
    methods = request.GET["methods"].split(",") if "methods" in request.GET else []
    login(request, user_named(request), remember="forget" not in request.GET, lifetime=lifetime, methods=methods)
    return Response({"user": str(request.user), "auth": request.auth.generation})


@api_view(["POST"])
def act(request):
    act_as(request, user_named(request))
    return Response({"user": str(request.user)})


@api_view(["POST"])
def stop(request):
    stop_acting(request)
    return Response({"user": str(request.user)})


def plain_login(request):
    login(request, user_named(request))
    return HttpResponse(str(request.user))


def rolled_back_login(request):
    with transaction.atomic():
        login(request, user_named(request))
        transaction.set_rollback(True)
    return HttpResponse()


async def async_login(request):
    await alogin(request, await get_user_model().objects.aget(pk=request.GET["user"]))
    return HttpResponse(str(await request.auser()))


@api_view(["POST"])
def logout_view(request):
    logout(request)
    return Response({"user": str(request.user), "auth": request.auth})


def rolled_back_logout(request):
    with transaction.atomic():
        logout(request)
        transaction.set_rollback(True)
    return HttpResponse()


async def async_logout(request):
    await alogout(request)
    return HttpResponse(str(await request.auser()))


@api_view(["POST"])
@permission_classes([IsAuthenticated])
def change_password(request):
    """Change the password of the current user, or of ?user=."""
    user = user_named(request) if "user" in request.GET else request.user
    user.set_password("new password")
    user.save()
    update_session_auth_hash(request, user)
    return Response({"user": str(request.user), "auth": request.auth.generation})


@csrf_exempt
async def async_change_password(request):
    user = await request.auser()
    user.set_password("new password")
    await user.asave()
    await aupdate_session_auth_hash(request, user)
    return HttpResponse(str(await request.auser()))


@api_view(["POST"])
def end_others(request):
    return Response({"ended": Session.objects.others(request).end()})


@api_view(["GET", "POST"])
@permission_classes([IsAuthenticated])
def me(request):
    return Response({"user": str(request.user), "generation": request.auth.generation})


class MeView(APIView):
    permission_classes = [IsAuthenticated]

    def get(self, request):
        return Response({"user": str(request.user)})


def plain_me(request):
    return HttpResponse(str(request.user))


def template_me(request):
    template = engines["django"].from_string("{% if user.is_authenticated %}{{ user }}{% else %}anonymous{% endif %}")
    return HttpResponse(template.render({}, request))


async def async_me(request):
    return HttpResponse(str(await request.auser()))


async def async_who(request):
    """Return what is known without a query."""
    user = await request.auser() if request.jwtauth.claims is None else request.user
    return HttpResponse(f"{user.is_authenticated} {user.pk}")


def permission(request):
    return JsonResponse({"may": request.user.has_perm("jwtauth.view_session")})


def session_view(request):
    auth = request.jwtauth
    return JsonResponse(
        {
            "is_authenticated": auth.is_authenticated,
            "session": None if auth.session is None else str(auth.session.pk),
            "refreshed": auth.refreshed,
            "renewed": auth.renewed,
            "expires_at": None if auth.claims is None else auth.claims.expires_at,
            "custom": None if auth.claims is None else auth.claims.custom,
        }
    )


@api_view(["GET", "POST"])
def public(request):
    return Response({"is_authenticated": request.user.is_authenticated})


@api_view(["POST"])
@permission_classes([IsAuthenticated])
def upload(request):
    """Read a body of any size and type."""
    read = iter(lambda: request._request.read(65_536), b"")
    return Response({"user": str(request.user), "bytes": sum(map(len, read))})


def events(request):
    """Stream the user of the request, and once more when the clock has advanced."""
    said = f"data: {request.user}\n\n"

    def stream():
        since = _clock.now()
        yield said
        while _clock.now() == since:
            time.sleep(0.01)
        yield said

    return StreamingHttpResponse(stream(), content_type="text/event-stream")


async def async_events(request):
    said = f"data: {await request.auser()}\n\n"

    async def stream():
        since = _clock.now()
        yield said
        while _clock.now() == since:
            await asyncio.sleep(0.01)
        yield said

    return StreamingHttpResponse(stream(), content_type="text/event-stream")


def idle(request):
    return HttpResponse("no user was requested")


def expire(request):
    """Clear the access token's cookie, as a browser does at the end of Max-Age."""
    response = HttpResponse()
    response.delete_cookie("access_token")
    return response


def failing(request):
    raise RuntimeError("the view failed")
