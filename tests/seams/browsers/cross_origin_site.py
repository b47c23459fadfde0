"""The test project under any host name, and the pages of other sites, which send it requests.

``python -m tests.seams.browsers.cross_origin_site`` reads its ports and settings from ``SITE``, JSON in the
environment, and prints "ready". Each host name on each port serves both the project and the pages of `cross_origin.js`;
the browser decides which of them are another site. Requests with a ``case`` in the query are recorded.
"""

import asyncio
import json
import os
import socket
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs

import django
from django.conf import settings

from tests import settings as test_settings

SITE = json.loads(os.environ["SITE"])
IS_SECURE = SITE["certificate"] is not None
MARKERS = ("Strict", "Lax", "None")

settings.configure(
    **{name: getattr(test_settings, name) for name in dir(test_settings) if name.isupper()}
    | {
        "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": SITE["database"]}},
        "ROOT_URLCONF": __name__,
        "ALLOWED_HOSTS": ["*"],
        "CSRF_TRUSTED_ORIGINS": SITE["trusted"],
        "JWTAUTH": {"COOKIE_SECURE": IS_SECURE, "COOKIE_SAMESITE": SITE["same_site"]},
    }
)
django.setup()

import uvicorn  # noqa: E402
from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from django.core.handlers.asgi import ASGIHandler  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db.models import Count  # noqa: E402
from django.http import HttpResponse, JsonResponse  # noqa: E402
from django.shortcuts import redirect  # noqa: E402
from django.urls import include, path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402

from jwtauth import login  # noqa: E402
from jwtauth.asgi import WebSocketAuthMiddleware, is_signed_in  # noqa: E402
from jwtauth.models import Session  # noqa: E402

SCRIPT = Path(__file__).with_name("cross_origin.js").read_text()
SAFE = ("GET", "HEAD", "OPTIONS")
SIGNED_IN, ANONYMOUS = 200, 401

batches: dict[str, dict] = {}
done: set[str] = set()
record: list[dict] = []
came: set[str] = set()  # the recorded cases
wrote: dict[str, str] = {}


def sign_in(request):
    """Sign the victim in, with a cookie of each ``SameSite`` beside those of jwtauth."""
    login(request, get_user_model().objects.get(username="ada"))
    response = HttpResponse(f"signed in: {request.user}")
    for marker in MARKERS:
        response.set_cookie(marker, "1", samesite=marker, secure=IS_SECURE)
    return response


@csrf_exempt
def write(request):
    """Change something for the request's user, whatever the method and body, unless the method is safe."""
    if not request.user.is_authenticated:
        return HttpResponse("nobody", status=ANONYMOUS)
    if request.method not in SAFE:
        wrote[request.GET["case"]] = str(request.user)
    return HttpResponse(str(request.user), status=SIGNED_IN)


@csrf_exempt
def callback(request):
    """Sign in after a provider's answer, and redirect to a page of the site."""
    login(request, get_user_model().objects.get(username="ada"), cross_origin=True)
    return redirect(f"/write/?case={request.GET['case']}, then")


def state(request):
    """Count the live sessions of each user."""
    counts = Session.objects.live().values_list("user__username").annotate(Count("pk"))
    return JsonResponse(dict(counts) | {"wrote": wrote})


urlpatterns = [
    path("sign-in/", sign_in),
    path("write/", write),
    path("callback/", callback),
    path("state/", state),
    path("", include("tests.urls")),
]


class Writer(AsyncWebsocketConsumer):
    """A WebSocket that writes for its user."""

    async def connect(self):
        if self.scope["user"].is_authenticated:
            await self.accept()
        else:
            await self.close()

    async def receive(self, text_data=None, bytes_data=None):
        if await is_signed_in(self.scope):
            wrote[case_of(self.scope)] = str(self.scope["user"])
        await self.close()


async def application(scope, receive, send):
    segments = scope["path"].strip("/").split("/")
    if scope["type"] == "websocket":
        await websocket(scope, receive, noting(scope, send))
    elif scope["method"] == "OPTIONS":  # CORS for every origin, with cookies: only jwtauth's rule may refuse
        await respond(send, 204, b"", cors(scope))
    elif (answer := await control(segments, scope, receive)) is not None:
        await respond(send, *answer)
    else:
        await project(scope, receive, noting(scope, send))


async def control(segments, scope, receive):
    """Return status, body and headers for paths outside the project, or ``None``."""
    match segments:
        case ["batch", name]:
            batches[name] = json.loads(await body_of(receive))
            return 204, b"", []
        case ["record"]:
            query = parse_qs(scope["query_string"].decode())
            since = int(query["since"][0])
            answer = {"arrivals": record[since:], "is_done": query["batch"][0] in done}
            return 200, json.dumps(answer).encode(), []
        case ["arrived", name]:
            of_batch = {case["id"] for case in batches[name]["cases"]}
            return 200, json.dumps(sorted(came & of_batch)).encode(), cors(scope)
        case ["done", name]:
            done.add(name)
            return 204, b"", cors(scope)
        case ["page", name]:
            return 200, page(batches[name]), page_headers(batches[name])
        case ["frame", name]:
            source = batches[name]["frame"]
            return 200, f"<!doctype html><iframe src='{source}'></iframe>".encode(), [(b"content-type", b"text/html")]
        case ["hop", status]:
            query = parse_qs(scope["query_string"].decode())
            headers = [(b"location", query["to"][0].encode()), *cors(scope)]
            if "policy" in query:
                headers.append((b"referrer-policy", query["policy"][0].encode()))
            return int(status), b"", headers
    return None


def page(batch):
    variables = "const batch = " + json.dumps(batch).replace("<", "\\u003c") + ";\n"
    head = "<!doctype html><meta charset=utf-8><title>page</title><link rel=icon href='data:,'>"
    return f"{head}<button id=go>Go</button><script>{variables}{SCRIPT}</script>".encode()


def page_headers(batch):
    headers = [(b"content-type", b"text/html"), (b"cache-control", b"no-store")]
    if batch["policy"]:
        headers.append((b"referrer-policy", batch["policy"].encode()))
    if batch["is_sandboxed"]:
        headers.append((b"content-security-policy", b"sandbox allow-scripts allow-forms allow-popups"))
    for case in batch["cases"]:
        if case["initiator"] == "report":
            policy = f"img-src 'none'; report-uri {case['url']}"
            headers.append((b"content-security-policy-report-only", policy.encode()))
    return headers


def header(scope, name):
    values = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    return "; ".join(values) if values else None


def cors(scope):
    return [
        (b"access-control-allow-origin", (header(scope, b"origin") or "*").encode()),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-allow-headers", b"content-type, x-requested-with"),
        (b"access-control-allow-methods", (header(scope, b"access-control-request-method") or "GET").encode()),
        (b"access-control-max-age", b"0"),
    ]


async def body_of(receive):
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def respond(send, status, body, headers):
    headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def case_of(scope):
    return parse_qs(scope["query_string"].decode()).get("case", [None])[0]


def noting(scope, send):
    """Record the request when its answer begins, and let every origin read the answer."""
    case = case_of(scope)
    arrival = {
        "case": case,
        "is_websocket": scope["type"] == "websocket",
        "method": scope.get("method", "GET"),
        "path": scope["path"],
        "host": header(scope, b"host"),
        "origin": header(scope, b"origin"),
        "referer": header(scope, b"referer"),
        "type": header(scope, b"content-type"),
        **{name: header(scope, f"sec-fetch-{name}".encode()) for name in ("site", "mode", "dest", "user")},
        "cookies": sorted(SimpleCookie(header(scope, b"cookie") or "")),
    }

    is_noted = case is None

    async def noted(message):
        nonlocal is_noted
        kind = message["type"]
        if kind == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *cors(scope)]}
        if not is_noted and kind in ANSWERS:
            is_noted = True
            status = message.get("status") or ANSWERS[kind]
            came.add(case)
            record.append(arrival | {"status": status, "wrote": wrote.get(case)})
        await send(message)

    return noted


# A WebSocket that is closed before it is accepted is answered with 403, by the view if the middleware accepted it.
ANSWERS = {
    "http.response.start": None,
    "websocket.accept": SIGNED_IN,
    "websocket.close": ANONYMOUS,
    "websocket.http.response.start": 403,
}
project = ASGIHandler()
websocket = WebSocketAuthMiddleware(Writer.as_asgi())


def listen(port, certificate):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    config = uvicorn.Config(
        application,
        http="h11",  # which accepts methods that it does not know
        lifespan="off",
        log_level="warning",
        ssl_certfile=certificate,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config).serve(sockets=[listener])


async def serve():
    servers = [listen(port, SITE["certificate"]) for port in SITE["ports"]]
    servers.append(listen(SITE["plain"], None))
    print("ready", flush=True)  # the sockets listen, and queue requests until they are served
    await asyncio.gather(*servers)


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    users = get_user_model().objects
    users.create_user("ada", password="ada-pass", pk=1)
    users.create_user("bob", password="bob-pass", pk=2)
    asyncio.run(serve())
