"""The demo's views: plain Django views for pages, DRF views for JSON. Both read `request.user`."""

import time
from pathlib import Path

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.decorators import login_required
from django.http import JsonResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.renderers import TemplateHTMLRenderer
from rest_framework.response import Response
from rest_framework.views import APIView

from demo import request_log, theft
from jwtauth import login, logout
from jwtauth.models import Session

# For the schema: the bearer token is invalid; the request is anonymous.
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
    """Return the page that the visitor asked for before the sign-in, if it is on this site."""
    url = request.GET.get("next", "")
    is_here = url_has_allowed_host_and_scheme(url, request.get_host(), require_https=request.is_secure())
    return url if is_here else "home"


@require_POST
def sign_out(request):
    logout(request)
    return redirect("sign-in")


@never_cache  # after the sign-out, the browser's Back button must not show it again
@login_required
def home(request):
    current = request.jwtauth.session
    devices = [
        {"session": session, "is_this": session.pk == current.pk}
        for session in Session.objects.valid_for(request.user).order_by("-last_seen_at", "-created_at")
    ]
    context = {
        "devices": devices,
        "session": current,
        "now": int(time.time()),
        "grace": theft.GRACE + theft.MARGIN,
        "service": settings.DEMO_SERVICE,
    }
    return render(request, "demo/home.html", context)


@login_required
@require_POST
def end_device(request, session_id):
    if session_id == request.jwtauth.session.pk:
        return sign_out(request)  # which also clears the cookies
    request.user.jwtauth_sessions.filter(pk=session_id).end()
    return redirect("home")


@login_required
@require_POST
def end_other_devices(request):
    Session.objects.others(request).end()
    return redirect("home")


class PingSerializer(serializers.Serializer):
    user = serializers.CharField()
    generation = serializers.IntegerField()
    expires_at = serializers.IntegerField()
    now = serializers.FloatField()
    outcome = serializers.CharField()


class PingView(APIView):
    """Answer as any endpoint does, and tell what the request did to the tokens."""

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
    """List the requests of this session that the server remembers, newest first."""
    return Response({"now": time.time(), "requests": request_log.entries(request.auth.session_id)})


class SchemaPage(TemplateHTMLRenderer):
    """Show a browser the schema on a page, where drf-spectacular's own renderers would start a download."""

    def render(self, data, accepted_media_type=None, renderer_context=None):
        """Fill the template with the operations."""
        context = {"operations": operations(data)}
        return render(renderer_context["request"]._request, "demo/schema.html", context).content


class SchemaView(SpectacularAPIView):
    """Describe the ready-made views and the demo's own in OpenAPI."""

    permission_classes = ()
    renderer_classes = (*SpectacularAPIView.renderer_classes, SchemaPage)


def operations(schema):
    """List method, path and summary of each operation of an OpenAPI schema."""
    return [
        {"method": method.upper(), "path": path, "about": about.get("summary") or about.get("description", "")}
        for path, methods in schema.get("paths", {}).items()
        for method, about in methods.items()
    ]


def service_state(request):
    """Say what became of the Rust service, until it answers here itself."""
    return JsonResponse({"state": state_of_service()}, status=202)


def service_page(request):
    """Show what became of the Rust service, until it answers here itself."""
    return render(request, "demo/service.html", {"state": state_of_service()})


def state_of_service():
    """Return what `make run` has written, ``building`` or ``failed``. Without `make run`, return ``absent``."""
    path = settings.DEMO_SERVICE_STATE
    return Path(path).read_text() if path else "absent"
