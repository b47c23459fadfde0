"""Code of a site, for mypy (strict) and pyright: `make lint` checks that no part of it has an unknown type."""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from rest_framework.request import Request
from rest_framework.test import APIClient
from typing_extensions import assert_type

from jwtauth import (
    JWTAuthentication,
    alogin,
    alogout,
    aupdate_session_auth_hash,
    landing,
    login,
    logout,
    update_session_auth_hash,
)
from jwtauth.asgi import WebSocketAuthMiddleware, is_signed_in
from jwtauth.exceptions import JwtAuthError, SessionLimitReached
from jwtauth.models import Session
from jwtauth.test import Clock, aforce_login, force_login, stopped_clock
from jwtauth.views import LoginView


def sign_in(request: HttpRequest, user: AbstractBaseUser) -> HttpResponse:
    try:
        login(request, user, remember=False, lifetime=timedelta(hours=8))
    except SessionLimitReached as error:
        assert_type(error.code, str)
    update_session_auth_hash(request, user)
    logout(request)
    return HttpResponse()


def payment_return(request: HttpRequest) -> HttpResponse:
    return landing(request, "orders")


async def sign_in_async(request: HttpRequest, user: AbstractBaseUser) -> None:
    await alogin(request, user, lifetime=3600)
    await aupdate_session_auth_hash(request, user)
    await alogout(request)


def sessions(request: HttpRequest, user: AbstractBaseUser) -> int:
    ended = Session.objects.of(user).live().end()
    assert_type(ended, int)
    assert_type(Session.objects.others(request).end("moved"), int)
    everybody_s: int = Session.objects.all().end()
    return everybody_s + ended


def one(session: Session) -> tuple[UUID, str, datetime, datetime, datetime, bool, str | None]:
    assert_type(session.device, str)
    assert_type(session.end(), int)
    times = (session.created_at, session.last_seen_at, session.expires_at)
    return session.id, session.device, *times, session.remember, session.ip_address


def authenticator(request: Request) -> object:
    return JWTAuthentication().authenticate(request)


class OwnLoginView(LoginView):
    throttle_scope = "ours"


async def websocket(app: Callable[..., object], scope: dict[str, object]) -> bool:
    return await is_signed_in(scope)


def error_code(error: JwtAuthError) -> str:
    return error.code


def test_clients(user: AbstractBaseUser) -> None:
    for client in (Client(), APIClient()):
        force_login(client, user, lifetime=60)
    with stopped_clock() as clock:
        assert_type(clock, Clock)
        clock.advance(60)


async def test_async_client(user: AbstractBaseUser) -> None:
    await aforce_login(AsyncClient(), user)


application = WebSocketAuthMiddleware
