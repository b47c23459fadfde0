"""For the demo only: a thief with all cookies of two sessions, of which one is bound to a device.

Browsers bind sessions over HTTPS only, which the demo does not have. So the server signs the visitor in twice more, and
stores the public key of one session itself. What the thief gets does not depend on who has the private half.
"""

import json
from collections import OrderedDict

from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view
from rest_framework.response import Response

from demo.theft import ask_as_thief
from jwtauth import login
from jwtauth.middleware import JWTAuthMiddleware
from jwtauth.models import Session

# The key of RFC 7515, appendix A.3.
KEY = (
    'dbsc:{"alg":"ES256","crv":"P-256","kty":"EC","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",'
    '"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}'
)
_MAX_COPIES = 200
_copies = OrderedDict()


@extend_schema(exclude=True)
@api_view(["POST"])
def copy(request):
    """Start two sessions of the visitor, which end after two minutes, and copy their cookies."""
    _copies[request.auth.session_id] = {
        name: cookies_of(request.user, key) for name, key in (("free", None), ("bound", KEY))
    }
    while len(_copies) > _MAX_COPIES:
        _copies.popitem(last=False)
    return Response(status=204)


@extend_schema(exclude=True)
@api_view(["POST"])
def use(request):
    """Send the copies from another client, and show what it gets: the status, the code, and whether new cookies."""
    copies = _copies.get(request.auth.session_id)
    if copies is None:
        return Response({"detail": "Copy the cookies first."}, status=409)
    answers = {}
    for name, cookies in copies.items():
        answer = ask_as_thief(request.META["SERVER_PORT"], reverse("jwtauth:me"), request.get_host(), cookies)
        code = json.loads(answer.body).get("code")
        answers[name] = {"status": answer.status, "code": code, "renewed": answer.sets_cookies}
    return Response(answers)


def cookies_of(user, device_key):
    """Sign in the user as a browser with its own cookies, and return these."""

    def view(request):
        login(request, user, lifetime=120)
        return HttpResponse()

    request = RequestFactory().post("/", headers={"user-agent": "Another browser of the demo"})
    response = JWTAuthMiddleware(view)(request)
    Session.objects.filter(pk=request.jwtauth.session.pk).update(device_key=device_key)
    return {name: morsel.value for name, morsel in response.cookies.items()}
