"""The guide to second factors does what it says, typed literally into a new project with django-otp."""

from __future__ import annotations

import pytest

from tests.test_guides import FILES, GUIDES, Project
from tests.test_startproject import PASSWORD, example

GUIDE = GUIDES / "second-factor.md"
QUICKSTART = GUIDES / "quickstart.md"
VISIT = """
import time
from django.contrib.auth import get_user_model
from django.test import Client
from django_otp.oath import TOTP
from jwtauth.models import Session
device = get_user_model().objects.get().totpdevice_set.create(name="phone")
def code(wrong=0):
    device.refresh_from_db()
    device.throttle_reset()
    totp = TOTP(device.bin_key)
    totp.time = time.time()
    return f"{(totp.token() + wrong) % 10**6:06}"
client = Client()
def post(path, **options):
    headers = options.pop("headers", None)
    answer = client.post(path, options, content_type="application/json", headers=headers)
    said.append([answer.status_code, answer.json()])
    return answer.json()
def me(**headers):
    said.append(client.get("/auth/me/", headers=headers).status_code)
"""
REQUIRED = {
    "detail": "This login requires a second factor.",
    "code": "second_factor_required",
    "methods": ["otp"],
}


@pytest.fixture
def project(tmp_path):
    made = Project(tmp_path)
    made.append(example(QUICKSTART, "settings") + example(GUIDE, "settings"))
    for name, text in FILES.findall(GUIDE.read_text()):
        made.write(name, text)
    return made


def test_a_code_completes_the_login_of_a_browser(project):
    project.prepare()
    code = """
post("/auth/login/code/", code=code())
post("/auth/login/", username="ada", password=password)
me()
post("/auth/login/code/", code=code(wrong=1))
me()
post("/auth/login/code/", code=code())
me()
"""
    without, first, anonymous, wrong, still, right, signed_in = project.shell(VISIT + code, password=PASSWORD)
    assert (without[0], without[1]["code"]) == (403, "not_authenticated")
    assert first == [403, REQUIRED]
    assert wrong == [400, {"code": ["Wrong code."]}]
    assert (right[0], right[1]["user"]["username"]) == (200, "ada")
    assert [anonymous, still, signed_in] == [403, 403, 200]


def test_an_app_gets_its_tokens_for_the_code(project):
    project.prepare()
    code = """
pending = post("/auth/token/", username="ada", password=password)["pending"]
pair = post("/auth/token/code/", code=code(), headers={"X-Jwtauth-Pending": pending})
me(Authorization=f"Bearer {pair['access']}")
said.append(Session.objects.count())
"""
    first, second, signed_in, count = project.shell(VISIT + code, password=PASSWORD)
    assert (first[0], set(first[1])) == (403, {*REQUIRED, "pending"})
    assert (second[0], {"access", "refresh"} <= set(second[1])) == (200, True)
    assert (signed_in, count) == (200, 1)


def test_the_pages_ask_for_the_password_and_then_for_the_code(project):
    project.append('TEMPLATES[0]["DIRS"] = [BASE_DIR / "templates"]\n')
    project.write("templates/sign_in.html", "<form method=post>{% csrf_token %}{{ form }}</form>")
    project.write(
        "mysite/urls.py",
        """
from django.http import HttpResponse
from django.urls import path
from mysite import views
urlpatterns = [
    path("", lambda request: HttpResponse(str(request.user)), name="home"),
    path("sign-in/", views.sign_in, name="sign-in"),
    path("code/", views.code, name="code"),
]
""",
    )
    project.prepare()
    code = """
def submit(path, **data):
    answer = client.post(path, data)
    said.append([answer.status_code, answer.get("Location")])
    said.append(client.get("/").content.decode())
submit("/code/", code=code())
submit("/sign-in/", username="ada", password=password)
submit("/code/", code=code(wrong=1))
submit("/code/", code=code())
"""
    anonymous = "AnonymousUser"
    assert project.shell(VISIT + code, password=PASSWORD) == [
        *([302, "/sign-in/"], anonymous),
        *([302, "/code/"], anonymous),
        *([200, None], anonymous),
        *([302, "/"], "ada"),
    ]
