"""A plain Django site that uses everything of the package except what needs DRF. Run by `test_plain`."""

import asyncio
import json
import os
import sys
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO

from django.contrib import admin
from django.contrib.auth import authenticate, get_user_model
from django.core.management import call_command
from django.http import HttpResponse, JsonResponse
from django.test import AsyncClient, Client
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from jwtauth import alogin, landing, login, logout, update_session_auth_hash
from jwtauth.models import Session
from jwtauth.test import force_login, stopped_clock

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"
COMMANDS = (
    "check",
    "jwtauth_check",
    "jwtauth_settings",
    "jwtauth_keys",
    "jwtauth_clearsessions",
    "jwtauth_generate_key",
)


@csrf_exempt
def sign_in(request):
    user = authenticate(request, username=request.POST["username"], password=request.POST["password"])
    login(request, user)
    return HttpResponse(str(request.user))


@csrf_exempt
def sign_out(request):
    logout(request)
    return HttpResponse(str(request.user))


@csrf_exempt
def password(request):
    request.user.set_password("new password")
    request.user.save()
    update_session_auth_hash(request, request.user)
    return HttpResponse(str(request.user))


def me(request):
    return JsonResponse({"user": str(request.user), "refreshed": request.jwtauth.refreshed})


@csrf_exempt
async def sign_in_async(request):
    await alogin(request, await get_user_model().objects.aget(username="ada"))
    return HttpResponse(str(await request.auser()))


def devices(request):
    return JsonResponse({"devices": [session.device for session in Session.objects.valid_for(request.user)]})


urlpatterns = [
    path("login/", sign_in),
    path("login/async/", sign_in_async),
    path("logout/", sign_out),
    path("password/", password),
    path("me/", me),
    path("devices/", devices),
    path("landing/", lambda request: landing(request, "/me/")),
    path("admin/", admin.site.urls),
]


def visit():
    """Return what a user sees from login to logout."""
    browser, seen = Client(enforce_csrf_checks=True, headers={"User-Agent": FIREFOX}), {}
    with stopped_clock() as clock:
        seen["login"] = browser.post("/login/", {"username": "ada", "password": "password"}).content.decode()
        clock.advance(400)
        seen["refresh"] = browser.get("/me/").json()
        seen["devices"] = browser.get("/devices/").json()["devices"]
        seen["admin"] = browser.get("/admin/jwtauth/session/").status_code
        seen["cross_origin"] = browser.post("/me/", headers={"Sec-Fetch-Site": "cross-site"}).json()["code"]
        seen["bearer"] = browser.get("/me/", headers={"Authorization": "Bearer x"}).json()["code"]
        seen["landing"] = browser.get("/landing/").status_code
        seen["password"] = browser.post("/password/").content.decode()
        seen["logout"] = browser.post("/logout/").content.decode()
        seen["after"] = browser.get("/me/").json()["user"]
    return seen


def main():
    """Print what was seen."""
    call_command("migrate", verbosity=0)
    ada = get_user_model().objects.create_superuser("ada", password="password")
    seen = visit()
    seen["async"] = asyncio.run(AsyncClient().post("/login/async/")).content.decode()
    force_login(Client(), ada)
    with redirect_stdout(StringIO()):
        for command in COMMANDS:
            call_command(command)
        call_command("jwtauth_logout", "--all")
    for name in os.environ["MODULES"].split():
        import_module(name)
    seen["left"] = Session.objects.count()
    seen["imported"] = [name for name in ("rest_framework", "drf_spectacular") if sys.modules.get(name)]
    print(json.dumps(seen))
