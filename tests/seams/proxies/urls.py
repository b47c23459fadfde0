"""Pages of each kind that a cache may keep or not, and a view that reports what arrived of an upload."""

from uuid import uuid4

from django.http import HttpResponse, HttpResponseRedirect, JsonResponse
from django.middleware.csrf import get_token
from django.urls import path
from django.views.decorators.cache import cache_control, cache_page
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.vary import vary_on_headers
from rest_framework.decorators import api_view
from rest_framework.response import Response

from tests.urls import urlpatterns as of_the_test_project


def number_responses(get_response):
    """Number the site's responses, so that a copy can be recognised."""

    def middleware(request):
        response = get_response(request)
        response["X-Response-Id"] = str(uuid4())
        return response

    return middleware


def claims(request, user):
    """Return this many bytes of claims, as JSON, as the request asks."""
    size = int(request.headers.get("X-Claims", 0))
    return {"much": "x" * (size - len('{"much":""}'))} if size else {}


def user_of(request):
    return request.user.pk


def asks(request):
    return JsonResponse({"user": user_of(request)})


def asks_and_is_not_found(request):
    return JsonResponse({"user": user_of(request)}, status=404)


def asks_and_redirects(request):
    user = user_of(request)
    return HttpResponseRedirect(f"/of/{user}/" if user else "/sign-in/")


def asks_and_is_kept(request):
    """Respond with every header that tells caches to keep a page."""
    headers = {"X-Accel-Expires": "600", "Surrogate-Control": "max-age=600", "CDN-Cache-Control": "max-age=600"}
    return JsonResponse({"user": user_of(request)}, headers=headers)


def does_not_ask(request):
    return HttpResponse("for every visitor")


def has_a_form(request):
    return JsonResponse({"user": user_of(request), "token": len(get_token(request))})


def has_a_session(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse({"user": user_of(request)})


@csrf_exempt
def upload(request):
    """Read the whole body, also a chunked one, which Django's request does not read under WSGI."""
    is_chunked = "HTTP_TRANSFER_ENCODING" in request.META and "wsgi.input" in request.META
    body = request.META["wsgi.input"] if is_chunked else request
    length = 0
    while part := body.read(1 << 16):
        length += len(part)
    return JsonResponse(
        {
            "user": user_of(request),
            "read": length,
            "content_length": request.META.get("CONTENT_LENGTH"),
            "transfer_encoding": request.META.get("HTTP_TRANSFER_ENCODING"),
        }
    )


@api_view()
def asks_by_api(request):
    """Respond through DRF, whose request has its own ``user``."""
    return Response({"user": user_of(request)}, status=200 if request.user.is_authenticated else 403)


kept = cache_control(public=True, max_age=600)

urlpatterns = [
    *of_the_test_project,
    path("read-all/", upload),
    path("page/", does_not_ask),
    path("page/kept/", kept(does_not_ask)),
    path("of-user/", asks),
    path("of-user/kept/", kept(asks)),
    path("of-user/kept/by-all/", kept(asks_and_is_kept)),
    path("of-user/cached/", cache_page(600)(vary_on_headers("Cookie", "Authorization")(asks))),
    path("of-user/api/", asks_by_api),
    path("of-user/form/", has_a_form),
    path("of-user/session/", has_a_session),
    path("of-user/redirect/", asks_and_redirects),
    path("of-user/missing/", asks_and_is_not_found),
]
