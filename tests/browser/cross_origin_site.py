"""The test project under any host name: ``python -m tests.browser.cross_origin_site PORT [CERTIFICATE]``.

Also serves the pages of other sites, and writes down what the browser sent with each request and was answered.
"""

import json
import os
import socketserver
import ssl
import sys
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import django
from django.conf import settings

from tests import settings as test_settings

PORT = int(sys.argv[1])
IS_SECURE = len(sys.argv) > 2
SCHEME = "https" if IS_SECURE else "http"

settings.configure(
    **{name: getattr(test_settings, name) for name in dir(test_settings) if name.isupper()}
    | {
        "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["SITE_DATABASE"]}},
        "ALLOWED_HOSTS": ["*"],
        "CSRF_TRUSTED_ORIGINS": [f"{SCHEME}://friend.test:{PORT}"],
        "JWTAUTH": {"COOKIE_SECURE": IS_SECURE, "COOKIE_SAMESITE": os.environ["SITE_SAMESITE"]},
    }
)
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402

# A page that sends a POST to ?to=, as a form, or in a sandboxed frame, or by a script.
FORM = b'<form method=post action="%(to)b"><button>Send</button></form>'
PAGE = b'<!doctype html><meta name=referrer content="%(referrer)b">' + FORM
PAGE += b"<iframe sandbox='allow-forms' srcdoc='" + FORM + b"'></iframe>"


class Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """The browser goes away where it first meets the certificate."""


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


def application(environ, start_response):
    query = {name: values[-1].encode() for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    if environ["PATH_INFO"] == "/page/":
        start_response("200 OK", [("Content-Type", "text/html")])
        return [PAGE % {b"to": query.get("to", b""), b"referrer": query.get("referrer", b"strict-origin")}]
    if environ["PATH_INFO"] == "/redirect/":
        start_response("307 Temporary Redirect", [("Location", query["to"].decode())])
        return [b""]

    def noting(status, headers, exc_info=None):
        names = ("HTTP_ORIGIN", "HTTP_SEC_FETCH_SITE", "HTTP_COOKIE", "HTTP_UPGRADE", "REQUEST_METHOD", "PATH_INFO")
        line = json.dumps({name: environ.get(name) for name in names} | {"status": int(status[:3])})
        sys.stdout.write(f"{line}\n")  # at once, for there are other threads
        sys.stdout.flush()
        return start_response(status, headers, exc_info)

    return django_application(environ, noting)


call_command("migrate", verbosity=0)
get_user_model().objects.create_user("ada", pk=1)
django_application = get_wsgi_application()
server = Server(("127.0.0.1", PORT), Quiet)
server.set_app(application)
if IS_SECURE:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2])
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.base_environ["HTTPS"] = "on"
print("ready", flush=True)
server.serve_forever()
