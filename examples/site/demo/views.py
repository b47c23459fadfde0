"""The demo's views: plain Django views for pages, DRF views for JSON. Both know `request.user`."""

import time

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.response import Response
from rest_framework.views import APIView

from demo import request_log
from jwtauth import login, logout
from jwtauth.models import Session

# For the schema: the bearer is not good; nobody is signed in.
REFUSALS = {401: OpenApiTypes.OBJECT, 403: OpenApiTypes.OBJECT}


def sign_in(request):
    failed = False
    if request.method == "POST":
        user = authenticate(request, username=request.POST.get("username"), password=request.POST.get("password"))
        if user is not None:
            login(request, user, remember="remember" in request.POST)
            return redirect(wanted_page(request))
        failed = True
    return render(request, "demo/sign_in.html", {"failed": failed}, status=403 if failed else 200)


def wanted_page(request):
    """Where the visitor was going when asked to sign in, if that is on this site."""
    url = request.GET.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(url, request.get_host(), require_https=request.is_secure())
    return url if is_ours else "home"


@require_POST
def sign_out(request):
    logout(request)
    return redirect("sign-in")


@never_cache  # so that the browser's Back button does not bring it back after signing out
@login_required
def home(request):
    current = request.jwtauth.session
    devices = [
        {"session": session, "is_this": session.pk == current.pk}
        for session in Session.objects.valid_for(request.user).order_by("-last_seen_at", "-created_at")
    ]
    context = {"devices": devices, "session": current, "now": int(time.time()), "service": settings.DEMO_SERVICE}
    return render(request, "demo/home.html", context)


@login_required
@require_POST
def end_device(request, session_id):
    if session_id == request.jwtauth.session.pk:
        return sign_out(request)  # which also clears the cookies
    request.user.jwtauth_sessions.filter(pk=session_id).end()
    return redirect("home")


class PingSerializer(serializers.Serializer):
    user = serializers.CharField()
    generation = serializers.IntegerField()
    expires_at = serializers.IntegerField()
    now = serializers.FloatField()
    outcome = serializers.CharField()


class PingView(APIView):
    """An ordinary endpoint. The page asks it, and it tells what happened to the tokens on the way."""

    @extend_schema(responses={200: PingSerializer, **REFUSALS})
    def get(self, request):
        return Response(
            {
                "user": request.user.get_username(),
                "generation": request.auth.generation,
                "expires_at": request.auth.expires_at,
                "now": time.time(),
                "outcome": request_log.outcome(request),
            }
        )


class LogSerializer(serializers.Serializer):
    now = serializers.FloatField()
    requests = serializers.ListField(child=serializers.DictField())


@extend_schema(responses={200: LogSerializer, **REFUSALS})
@api_view(["GET"])
def log(request):
    return Response({"now": time.time(), "requests": request_log.entries(request.auth.session_id)})
