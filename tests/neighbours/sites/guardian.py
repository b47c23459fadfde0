"""django-guardian: permissions of ``request.user`` for single objects."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.db import models
from django.http import HttpRequest, JsonResponse
from django.urls import path
from guardian.decorators import permission_required_or_403
from guardian.shortcuts import assign_perm, get_objects_for_user
from rest_framework.generics import RetrieveAPIView
from rest_framework.permissions import DjangoObjectPermissions
from rest_framework.serializers import ModelSerializer

from tests.neighbours import views
from tests.neighbours.site import Browser, case


class Note(models.Model):
    title = models.CharField(max_length=9)

    class Meta:
        app_label = "neighbours"

    def __str__(self) -> str:
        return self.title


class NoteSerializer(ModelSerializer):
    class Meta:
        model = Note
        fields = ["title"]


class MayView(DjangoObjectPermissions):
    perms_map = {"GET": []}

    def has_object_permission(self, request: Any, view: Any, obj: Any) -> bool:
        return request.user.has_perm("neighbours.view_note", obj)


class DrfNote(views.View, RetrieveAPIView):
    permission_classes = [MayView]
    serializer_class = NoteSerializer
    queryset = Note.objects.all()
    lookup_field = "title"


def mine(request: HttpRequest) -> JsonResponse:
    notes = get_objects_for_user(request.user, "neighbours.view_note")
    return JsonResponse(sorted(note.title for note in notes), safe=False)


@permission_required_or_403("neighbours.view_note", (Note, "title", "title"))
def note(request: HttpRequest, title: str) -> JsonResponse:
    return JsonResponse({"title": title})


urlpatterns = [
    *views.urlpatterns,
    path("mine/", mine),
    path("notes/<title>/", note),
    path("drf/notes/<title>/", DrfNote.as_view()),
]


@case(
    [
        [["list"], {"title": "list"}, 403, {"title": "list"}, 403],
        [["diary"], 403, {"title": "diary"}, 403, {"title": "diary"}],
        [[], 403, 403, 403, 403],
    ],
    orders=("recommended", "0.0.8"),
)
def permissions_for_objects_are_those_of_the_user(browser: Browser) -> Any:
    user = get_user_model().objects.get
    for name, title in (("ada", "list"), ("bob", "diary")):
        assign_perm("neighbours.view_note", user(username=name), Note.objects.create(title=title))
    seen = []
    for name in ("ada", "bob", "eve"):
        browser.sign_in(name)
        browser.outlive_access_token()
        pages = ("/mine/", "/notes/list/", "/notes/diary/", "/drf/notes/list/", "/drf/notes/diary/")
        seen.append([browser.see(page) for page in pages])
    return seen
