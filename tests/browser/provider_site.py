"""A site that another site signs users in to: ``python -m tests.browser.provider_site PORT``.

The site is http://127.0.0.1:PORT. The other one is http://localhost:PORT, which browsers treat as another site; it
stands for a provider, a mailbox or a bank.
"""

import json
import os
import socketserver
import sys
from urllib.parse import parse_qs, urlencode
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import django
from django.conf import settings

from tests import settings as test_settings

PORT = int(sys.argv[1])
SITE, OTHER = f"http://127.0.0.1:{PORT}", f"http://localhost:{PORT}"
# How often the provider redirects a user before it gives up.
ROUNDS = 12

settings.configure(
    **{name: getattr(test_settings, name) for name in dir(test_settings) if name.isupper()}
    | {
        "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["SITE_DATABASE"]}},
        "ROOT_URLCONF": __name__,
        "LOGIN_URL": "/sign-in/",
        "JWTAUTH": {"COOKIE_SECURE": False, "COOKIE_SAMESITE": os.environ["SITE_SAMESITE"]},
    }
)
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.contrib.auth.decorators import login_required  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse, JsonResponse  # noqa: E402
from django.shortcuts import redirect  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402

from jwtauth import landing, login  # noqa: E402
from jwtauth.models import Session  # noqa: E402


def private(request):
    """Redirect an anonymous visitor to the provider, which is the only way to sign in here."""
    if request.user.is_authenticated:
        return HttpResponse(f"{request.user} at private")
    back = f"{SITE}/callback/?{request.GET.urlencode()}"
    return redirect(f"{OTHER}/authorize/?{urlencode({'to': back})}")


@csrf_exempt
def callback(request):
    login(request, get_user_model().objects.get(username="ada"), cross_origin=True)
    after = f"/private/?{request.GET.urlencode()}"
    return landing(request, after) if "land" in request.GET else redirect(after)


def sign_in_locally(request):
    login(request, get_user_model().objects.get(username="ada"))
    return HttpResponse("signed in")


def go(request):
    return landing(request, request.GET.get("next"))


def sign_in(request):
    """Follow the guide's recipe: the browser may have withheld cookies, so request the wanted page once more."""
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        return landing(request, request.GET["next"])
    return HttpResponse("the form")


@login_required
def orders(request):
    return HttpResponse(f"{request.user} at orders")


def sessions(request):
    return JsonResponse({"live": Session.objects.live().count()})


urlpatterns = [
    path("private/", private),
    path("callback/", callback),
    path("sign-in/local/", sign_in_locally),
    path("sign-in/", sign_in),
    path("go/", go),
    path("orders/", orders),
    path("sessions/", sessions),
]


class Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


def other_site(environ, start_response):
    """Serve pages that lead to ?to= as the path says: by themselves, by a form, or after a click.

    ``/received/`` is the list of the requests that the site has received.
    """
    global rounds
    if environ["PATH_INFO"] == "/received/":
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(received).encode()]
    to = parse_qs(environ["QUERY_STRING"]).get("to", ["#"])[0].replace("&", "&amp;")
    how = environ["PATH_INFO"].strip("/")
    body = f'<a href="{to}">Go</a>'
    if how == "authorize":
        rounds += 1
        body = "enough" if rounds > ROUNDS else body + "<script>document.links[0].click()</script>"
    elif how == "post":
        body = f'<form method=post action="{to}"></form><script>document.forms[0].submit()</script>'
    start_response("200 OK", [("Content-Type", "text/html")])
    return [f"<!doctype html>{body}".encode()]


def jwtauth_site(environ, start_response):
    def with_policy(status, headers, exc_info=None):
        policy = ("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'")
        return start_response(status, [*headers, policy], exc_info)

    received.append(
        {
            "path": environ["PATH_INFO"],
            "site": environ.get("HTTP_SEC_FETCH_SITE"),
            "access_cookie": "access_token=" in environ.get("HTTP_COOKIE", ""),
        }
    )
    return django_application(environ, with_policy)


def application(environ, start_response):
    site = other_site if environ["HTTP_HOST"].startswith("localhost") else jwtauth_site
    return site(environ, start_response)


rounds, received = 0, []
call_command("migrate", verbosity=0)
get_user_model().objects.create_user("ada", pk=1)
django_application = get_wsgi_application()
server = Server(("127.0.0.1", PORT), Quiet)
server.set_app(application)
print("ready", flush=True)
server.serve_forever()
