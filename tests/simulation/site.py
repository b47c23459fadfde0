"""The views of the simulated site."""

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response

from jwtauth import update_session_auth_hash
from tests.simulation.settings import PASSWORD


def seen(request: HttpRequest) -> dict:
    """Return the user and the session that the server found for this request."""
    return {"user": int(request.user.pk), "session": str(request.jwtauth.claims.session_id)}


@csrf_exempt
def who(request: HttpRequest) -> JsonResponse:
    """Answer from a plain Django view."""
    if not request.user.is_authenticated:
        return JsonResponse({}, status=403)
    return JsonResponse(seen(request))


@api_view(["GET", "POST"])
@permission_classes([IsAuthenticated])
def api(request: HttpRequest) -> Response:
    """Answer from a DRF view."""
    return Response(seen(request))


@csrf_exempt
def profile(request: HttpRequest) -> JsonResponse:
    """Read a field of the user, which loads it even if the session was verified a moment ago."""
    if not request.user.is_authenticated or not request.user.username:
        return JsonResponse({}, status=403)
    return JsonResponse(seen(request))


@csrf_exempt
def rolled_back(request: HttpRequest) -> JsonResponse:
    """Answer from a transaction that is rolled back."""
    with transaction.atomic():
        known = request.user.is_authenticated
        transaction.set_rollback(True)
    return JsonResponse(seen(request)) if known else JsonResponse({}, status=403)


@api_view(["POST"])
@permission_classes([IsAuthenticated])
def password(request: HttpRequest) -> Response:
    """Set the same password again, which changes its hash."""
    request.user.set_password(PASSWORD)
    request.user.save(update_fields=["password"])
    update_session_auth_hash(request, request.user)
    return Response(seen(request))


urlpatterns = [
    path("who/", who),
    path("api/", api),
    path("profile/", profile),
    path("rolled-back/", rolled_back),
    path("password/", password),
    path("auth/", include("jwtauth.urls")),
]
