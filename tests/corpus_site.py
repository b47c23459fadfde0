"""Views of the corpus of requests, which `testdata/README.md` describes."""

from django.contrib.auth import get_user_model
from django.http import JsonResponse
from django.urls import path
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import APIView

from jwtauth import RecentlySignedIn, SignedInWith, login, logout, reauthenticate
from jwtauth.authentication import JWTAuthentication

responds: list[tuple[str, str]] = []
"""The headers that the view of the current case sets on its response."""


class View(APIView):
    """Answer every method alike, and errors with their code."""

    authentication_classes = [JWTAuthentication]
    renderer_classes = [JSONRenderer]
    permission_classes = []

    def answer(self, request):
        return None if request.user.pk is None else str(request.user.pk)

    def handle(self, request):
        return Response({"user": self.answer(request)}, headers=dict(responds))

    get = post = put = patch = delete = head = options = trace = handle

    def handle_exception(self, exc):
        response = super().handle_exception(exc)
        if "code" not in response.data:
            response.data["code"] = response.data["detail"].code
        return response


class Me(View):
    permission_classes = [IsAuthenticated]


class Recent(View):
    permission_classes = [RecentlySignedIn(300)]


class Otp(View):
    permission_classes = [SignedInWith("otp")]


class Reauthenticate(View):
    authentication_classes = []

    def answer(self, request):
        reauthenticate(request, get_user_model().objects.get(pk=1), methods=["otp"])
        return super().answer(request)


class Login(View):
    authentication_classes = []
    options_of_login = {}

    def answer(self, request):
        login(request, get_user_model().objects.get(pk=1), **self.options_of_login)
        return super().answer(request)


class Logout(View):
    authentication_classes = []

    def answer(self, request):
        logout(request)
        return super().answer(request)


def idle(request):
    return JsonResponse({"user": None}, headers=dict(responds))


def failing(request):
    raise RuntimeError("the view failed")


async def websocket(scope, receive, send):
    """Accept the handshake, and send the name of the user."""
    await receive()
    await send({"type": "websocket.accept"})
    user = scope["user"].pk
    await send({"type": "websocket.send", "text": "" if user is None else str(user)})
    await receive()


def login_with(**options):
    return type("Login", (Login,), {"options_of_login": options}).as_view()


urlpatterns = [
    path("me/", Me.as_view()),
    path("public/", View.as_view()),
    path("recent/", Recent.as_view()),
    path("otp/", Otp.as_view()),
    path("reauthenticate/", Reauthenticate.as_view()),
    path("idle/", idle),
    path("failing/", failing),
    path("login/", login_with()),
    path("login-forget/", login_with(remember=False)),
    path("login-hour/", login_with(lifetime=3600)),
    path("login-callback/", login_with(cross_origin=True)),
    path("logout/", Logout.as_view()),
]
