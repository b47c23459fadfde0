"""The same pages on each face of a site: DRF, plain Django and django-ninja, the latter two sync and async."""

from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.http import JsonResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from ninja import NinjaAPI
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response

from jwtauth import alogin, alogout, aupdate_session_auth_hash, login, logout, update_session_auth_hash
from jwtauth.contrib.ninja import JwtAuth

User = get_user_model()
NEW_PASSWORD = "new password"


def change_password(request, user):
    user.set_password(NEW_PASSWORD)
    user.save()
    update_session_auth_hash(request, user)


async def achange_password(request, user):
    user.set_password(NEW_PASSWORD)
    await user.asave()
    await aupdate_session_auth_hash(request, user)


# --- Django REST Framework


@api_view(["POST"])
def drf_login(request):
    login(request, User.objects.get(pk=request.GET["user"]))
    return Response({"user": str(request.user)})


@api_view(["POST"])
def drf_logout(request):
    logout(request)
    return Response({"user": str(request.user)})


@api_view(["GET", "POST"])
@permission_classes([IsAuthenticated])
def drf_me(request):
    return Response({"user": str(request.user)})


@api_view(["POST"])
@permission_classes([IsAuthenticated])
def drf_password(request):
    change_password(request, request.user)
    return Response({"user": str(request.user)})


@api_view(["GET", "POST"])
def drf_public(request):
    return Response({"user": str(request.user)})


# --- plain Django


@csrf_exempt
def plain_login(request):
    login(request, User.objects.get(pk=request.GET["user"]))
    return JsonResponse({"user": str(request.user)})


@csrf_exempt
def plain_logout(request):
    logout(request)
    return JsonResponse({"user": str(request.user)})


@csrf_exempt
def plain_me(request):
    if not request.user.is_authenticated:
        raise PermissionDenied
    return JsonResponse({"user": str(request.user)})


@csrf_exempt
def plain_password(request):
    change_password(request, request.user)
    return JsonResponse({"user": str(request.user)})


def plain_public(request):
    return JsonResponse({"user": str(request.user)})


@csrf_exempt
async def async_login(request):
    await alogin(request, await User.objects.aget(pk=request.GET["user"]))
    return JsonResponse({"user": str(await request.auser())})


@csrf_exempt
async def async_logout(request):
    await alogout(request)
    return JsonResponse({"user": str(await request.auser())})


@csrf_exempt
async def async_me(request):
    user = await request.auser()
    if not user.is_authenticated:
        raise PermissionDenied
    return JsonResponse({"user": str(user)})


@csrf_exempt
async def async_password(request):
    await achange_password(request, await request.auser())
    return JsonResponse({"user": str(await request.auser())})


async def async_public(request):
    return JsonResponse({"user": str(await request.auser())})


# --- django-ninja

ninja = NinjaAPI(auth=JwtAuth(), urls_namespace="ninja")
ninja_async = NinjaAPI(auth=JwtAuth(), urls_namespace="ninja-async")


@ninja.post("login/", auth=None)
def ninja_login(request, user: int):
    login(request, User.objects.get(pk=user))
    return {"user": str(request.user)}


@ninja.post("logout/", auth=None)
def ninja_logout(request):
    logout(request)
    return {"user": str(request.user)}


@ninja.api_operation(["GET", "POST"], "me/")
def ninja_me(request):
    return {"user": str(request.auth)}


@ninja.post("password/")
def ninja_password(request):
    change_password(request, request.auth)
    return {"user": str(request.user)}


@ninja.get("public/", auth=None)
def ninja_public(request):
    return {"user": str(request.user)}


@ninja_async.post("login/", auth=None)
async def ninja_async_login(request, user: int):
    await alogin(request, await User.objects.aget(pk=user))
    return {"user": str(await request.auser())}


@ninja_async.post("logout/", auth=None)
async def ninja_async_logout(request):
    await alogout(request)
    return {"user": str(await request.auser())}


@ninja_async.api_operation(["GET", "POST"], "me/")
async def ninja_async_me(request):
    return {"user": str(request.auth)}


@ninja_async.post("password/")
async def ninja_async_password(request):
    await achange_password(request, request.auth)
    return {"user": str(await request.auser())}


@ninja_async.get("public/", auth=None)
async def ninja_async_public(request):
    return {"user": str(await request.auser())}


def pages(*views):
    names = ("login/", "logout/", "me/", "password/", "public/")
    return include([path(name, view) for name, view in zip(names, views, strict=True)])


# By the name of the face, which is the first part of the path.
FACES = {
    "drf": pages(drf_login, drf_logout, drf_me, drf_password, drf_public),
    "django": pages(plain_login, plain_logout, plain_me, plain_password, plain_public),
    "django-async": pages(async_login, async_logout, async_me, async_password, async_public),
    "ninja": ninja.urls,
    "ninja-async": ninja_async.urls,
}
urlpatterns = [path(f"{face}/", urls) for face, urls in FACES.items()]
