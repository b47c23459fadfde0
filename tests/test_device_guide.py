"""docs/guides/device-bound-sessions.md does what it says, typed literally into a new project."""

from tests.test_guides import GUIDES, QUICKSTART, project  # noqa: F401
from tests.test_startproject import PASSWORD, example, run

PAGE = GUIDES / "device-bound-sessions.md"

CODE = """
from django.contrib.auth.models import User
from django.test import Client
from jwtauth.test import stopped_clock

User.objects.create_user("carl", password=password)
def post(client, path, **data): return client.post(path, data, content_type="application/json", secure=True)
with stopped_clock() as clock:
    for name in ("ada", "carl"):
        client = Client()
        said.append(post(client, "/sign-in/", username=name, password="wrong").status_code)
        said.append("Secure-Session-Registration" in post(client, "/sign-in/", username=name, password=password))
        said.append(client.get("/bound/", secure=True).json()["detail"])
        clock.advance(300)
        said.append(client.get("/auth/me/", secure=True).status_code)
"""


def prepared(project):  # noqa: F811
    project.append(example(PAGE, "settings"))
    project.write("mysite/urls.py", example(QUICKSTART, "urls"))
    project.write("pytest.ini", example(GUIDES / "testing.md", "pytest.ini"))
    return project


def test_the_test_of_the_guide_passes(project):  # noqa: F811
    prepared(project).write("mysite/test_device.py", example(PAGE, "mysite/test_device.py"))
    said = run(project.folder, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider")
    assert "1 passed" in said


def test_only_the_session_of_staff_must_be_bound(project):  # noqa: F811
    for name in ("views", "permissions"):
        project.write(f"mysite/{name}.py", example(PAGE, f"mysite/{name}.py"))
    prepared(project)
    urls = """
from mysite.permissions import DeviceBound
from mysite.views import sign_in
from rest_framework.decorators import api_view, permission_classes
from rest_framework.response import Response


@api_view()
@permission_classes([DeviceBound])
def bound(request):
    return Response()


urlpatterns += [path("sign-in/", sign_in), path("bound/", bound)]
"""
    with (project.folder / "mysite/urls.py").open("a") as file:
        file.write(urls)
    project.append("DEBUG = False\n")
    project.prepare()
    refused = "Use a browser that binds the session to your device."
    assert project.shell(CODE, password=PASSWORD) == [403, True, refused, 403, 403, True, refused, 200]


def test_the_share_of_bound_sessions_is_counted(project):  # noqa: F811
    prepared(project).prepare()
    code = """
from django.contrib.auth.models import User
from django.test import Client
from jwtauth.models import Session
from jwtauth.test import force_login

for _ in range(3):
    force_login(Client(), User.objects.get())
required, bound, _ = Session.objects.all()
Session.objects.filter(pk=required.pk).update(device_key="")
Session.objects.filter(pk=bound.pk).update(device_key="dbsc:{}")
"""
    assert project.manage("shell", "-c", code + example(PAGE, "share")).endswith("1 of 3\n")
