"""A site with an OpenID provider: ``python -m tests.neighbours.provider_site PORT PACKAGE``.

The site is http://127.0.0.1:PORT, and the provider is http://localhost:PORT, which browsers treat as another site. The
code that joins the package to jwtauth is that of docs/guides/providers.md.
"""

import json
import os
import re
import socketserver
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlencode
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import django
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings

from tests import settings as test_settings

PORT, PACKAGE = int(sys.argv[1]), sys.argv[2]
SITE, PROVIDER = f"http://127.0.0.1:{PORT}", f"http://localhost:{PORT}"
FOLDER = Path(os.environ["SITE_FOLDER"])
GUIDE = Path(__file__).resolve().parents[2] / "docs/guides/providers.md"
# How often the provider redirects a user before it gives up.
ROUNDS = 12

# The guide's example as the module `joined`; without landing if the environment asks for that.
example = re.search(rf"^<!-- example: {PACKAGE} -->\n+```python\n(.*?)^```$", GUIDE.read_text(), re.M | re.S).group(1)
if "SITE_WITHOUT_LANDING" in os.environ and PACKAGE != "receiver":
    example += "\nfrom django.shortcuts import redirect\n\n\ndef landing(request, url):\n    return redirect(url)\n"
(FOLDER / "joined.py").write_text(example)
sys.path.insert(0, str(FOLDER))

OF_PACKAGE = {
    "allauth": {
        "APPS": [
            "allauth",
            "allauth.account",
            "allauth.socialaccount",
            "allauth.socialaccount.providers.openid_connect",
        ],
        "MIDDLEWARE": ["allauth.account.middleware.AccountMiddleware"],
        "BACKENDS": ["allauth.account.auth_backends.AuthenticationBackend"],
        "ACCOUNT_ADAPTER": "joined.AccountAdapter",
        "ACCOUNT_EMAIL_VERIFICATION": "none",
        "SOCIALACCOUNT_LOGIN_ON_GET": True,
        "SOCIALACCOUNT_PROVIDERS": {
            "openid_connect": {
                "APPS": [
                    {
                        "provider_id": "house",
                        "name": "House",
                        "client_id": "site",
                        "secret": "secret",
                        "settings": {"server_url": f"{PROVIDER}/.well-known/openid-configuration"},
                    }
                ]
            }
        },
        "LOGIN_URL": "/accounts/oidc/house/login/",
    },
    "social": {
        "APPS": ["social_django"],
        "MIDDLEWARE": [],
        "BACKENDS": ["social_core.backends.open_id_connect.OpenIdConnectAuth"],
        "SOCIAL_AUTH_OIDC_OIDC_ENDPOINT": PROVIDER,
        "SOCIAL_AUTH_OIDC_KEY": "site",
        "SOCIAL_AUTH_OIDC_SECRET": "secret",
        "LOGIN_URL": "/begin/",  # posts to the package's view
    },
    "mozilla": {
        "APPS": ["mozilla_django_oidc"],
        "MIDDLEWARE": [],
        "BACKENDS": ["mozilla_django_oidc.auth.OIDCAuthenticationBackend"],
        "OIDC_CALLBACK_CLASS": "joined.CallbackView",
        "OIDC_RP_CLIENT_ID": "site",
        "OIDC_RP_CLIENT_SECRET": "secret",
        "OIDC_RP_SIGN_ALGO": "RS256",
        "OIDC_OP_AUTHORIZATION_ENDPOINT": f"{PROVIDER}/authorize",
        "OIDC_OP_TOKEN_ENDPOINT": f"{PROVIDER}/token",
        "OIDC_OP_USER_ENDPOINT": f"{PROVIDER}/userinfo",
        "OIDC_OP_JWKS_ENDPOINT": f"{PROVIDER}/jwks",
        "LOGIN_URL": "/oidc/authenticate/",
    },
}
OF_PACKAGE["receiver"] = {**OF_PACKAGE["allauth"], "ACCOUNT_ADAPTER": "allauth.account.adapter.DefaultAccountAdapter"}
OF_PACKAGE = OF_PACKAGE[PACKAGE]
apps, middleware, backends = (OF_PACKAGE.pop(name) for name in ("APPS", "MIDDLEWARE", "BACKENDS"))

settings.configure(
    **{name: getattr(test_settings, name) for name in dir(test_settings) if name.isupper()}
    | {
        "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "site.sqlite3"}},
        "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
        "ROOT_URLCONF": __name__,
        "JWTAUTH": {"COOKIE_SECURE": False, "COOKIE_SAMESITE": os.environ["SITE_SAMESITE"]},
        "INSTALLED_APPS": [*test_settings.INSTALLED_APPS, *apps],
        "MIDDLEWARE": [*test_settings.MIDDLEWARE, *middleware],
        "AUTHENTICATION_BACKENDS": ["django.contrib.auth.backends.ModelBackend", *backends],
    }
    | OF_PACKAGE
)
django.setup()

from django.contrib.auth.decorators import login_required  # noqa: E402
from django.contrib.sessions.models import Session as DjangoSession  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse, JsonResponse  # noqa: E402
from django.middleware.csrf import get_token  # noqa: E402
from django.urls import include, path  # noqa: E402
from django.utils.html import format_html  # noqa: E402

from jwtauth.models import Session  # noqa: E402


@login_required
def private(request):
    return HttpResponse(f"{request.user.email} at private")


def begin(request):
    """Post to social_django's view at once, which accepts only POST."""
    fields = '<input name=csrfmiddlewaretoken value="{}"><input name=next value="{}">'
    form = f"<form method=post action=/social/login/oidc/>{fields}</form><script>document.forms[0].submit()</script>"
    return HttpResponse(format_html(form, get_token(request), request.GET["next"]))


def sessions(request):
    signed_in = sum("_auth_user_id" in session.get_decoded() for session in DjangoSession.objects.all())
    return JsonResponse({"live": Session.objects.live().count(), "django": signed_in})


urlpatterns = [path("private/", private), path("sessions/", sessions)]
if PACKAGE == "receiver":
    import joined
if PACKAGE in ("allauth", "receiver"):
    urlpatterns.append(path("accounts/", include("allauth.urls")))
elif PACKAGE == "mozilla":
    urlpatterns.append(path("oidc/", include("mozilla_django_oidc.urls")))
else:
    import joined

    urlpatterns += [
        path("begin/", begin),
        path("social/complete/<backend>/", joined.complete),
        path("social/", include("social_django.urls", namespace="social")),
    ]


class Provider:
    """An OpenID provider that knows one user, and redirects through a page."""

    def __init__(self):
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.rounds = 0

    def __call__(self, environ, start_response):
        query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        sent = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        answer = getattr(self, environ["PATH_INFO"].strip("/").replace("/", "_").replace("-", "_").strip("."), None)
        if answer is None:
            start_response("404 Not Found", [])
            return [b""]
        found = answer(query, sent)
        kind = "text/html" if isinstance(found, str) else "application/json"
        start_response("200 OK", [("Content-Type", kind)])
        return [(found if isinstance(found, str) else json.dumps(found)).encode()]

    def well_known_openid_configuration(self, query, sent):
        return {
            "issuer": PROVIDER,
            "authorization_endpoint": f"{PROVIDER}/authorize",
            "token_endpoint": f"{PROVIDER}/token",
            "userinfo_endpoint": f"{PROVIDER}/userinfo",
            "jwks_uri": f"{PROVIDER}/jwks",
        }

    def authorize(self, query, sent):
        self.rounds += 1
        if self.rounds > ROUNDS:
            return "enough"
        code = f"of-{query.get('nonce', '')}"
        back = f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"
        return format_html('<a href="{}">Go</a><script>document.links[0].click()</script>', back)

    def token(self, query, sent):
        claims = {"iss": PROVIDER, "sub": "ada", "aud": "site", "iat": int(time.time()), "exp": int(time.time()) + 600}
        claims |= {"nonce": sent["code"].removeprefix("of-"), "email": "ada@example.com"}
        id_token = jwt.encode(claims, self.key, "RS256", headers={"kid": "1"})
        return {"access_token": "access", "token_type": "Bearer", "expires_in": 600, "id_token": id_token}

    def userinfo(self, query, sent):
        return {"sub": "ada", "email": "ada@example.com", "email_verified": True, "preferred_username": "ada"}

    def jwks(self, query, sent):
        jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return {"keys": [{**jwk, "kid": "1", "alg": "RS256", "use": "sig"}]}


class Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


def application(environ, start_response):
    return (provider if environ["HTTP_HOST"].startswith("localhost") else django_application)(environ, start_response)


provider = Provider()
call_command("migrate", verbosity=0)
django_application = get_wsgi_application()
server = Server(("127.0.0.1", PORT), Quiet)
server.set_app(application)
print("ready", flush=True)
server.serve_forever()
