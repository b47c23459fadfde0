"""The guides do what they say, typed literally into a new project."""

import json
import re
from datetime import datetime, timedelta, timezone

import pytest

from tests.test_startproject import PASSWORD, ROOT, SETTINGS_0_0_8, URLS_0_0_8, VIEWS_0_0_8, example, run

GUIDES = ROOT / "docs/guides"
QUICKSTART = GUIDES / "quickstart.md"
FILES = re.compile(r"^<!-- example: (mysite/\S+)(?: with pages)? -->\n+```\w+\n(.*?)^```$", re.M | re.S)


class Project:
    """A new project named ``mysite``, with ada as its user."""

    def __init__(self, folder):
        run(folder, "-m", "django", "startproject", "mysite")
        self.folder = folder / "mysite"

    def append(self, settings):
        with (self.folder / "mysite/settings.py").open("a") as file:
            file.write(settings)

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def prepare(self):
        self.append('ALLOWED_HOSTS = ["testserver"]\n')
        # These tests are not about password hashes, which would take most of their time.
        self.append('PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]\n')
        run(self.folder, "manage.py", "migrate", "--verbosity", "0")
        user = ("--noinput", "--username", "ada", "--email", "ada@example.com")
        run(self.folder, "manage.py", "createsuperuser", *user, DJANGO_SUPERUSER_PASSWORD=PASSWORD)

    def manage(self, *arguments):
        return run(self.folder, "manage.py", *arguments)

    def shell(self, code, **names):
        """Run this code in the project and return the values of ``said``."""
        program = "\n".join([*(f"{name} = {value!r}" for name, value in names.items()), "said = []", code])
        program += "\nimport json; print('SAID' + json.dumps(said))"
        return json.loads(self.manage("shell", "-c", program).rpartition("SAID")[2])


@pytest.fixture
def project(tmp_path):
    made = Project(tmp_path)
    made.append(example(QUICKSTART, "settings"))
    made.write("mysite/urls.py", example(QUICKSTART, "urls"))
    return made


def test_the_views_of_the_quickstart_sign_in_and_out(project):
    for name in ("mysite/views.py", "mysite/urls.py"):
        project.write(name, example(QUICKSTART, name))
    project.prepare()
    code = """
from django.test import Client
client = Client()
def post(path, **data): return client.post(path, data, content_type="application/json").status_code
said.append(client.get("/me/").status_code)
said.append(post("/login/", username="ada", password="wrong"))
said.append(post("/login/", username="ada", password=password))
said.append(client.get("/me/").json())
said.append(post("/logout/"))
said.append(client.get("/me/").status_code)
"""
    assert project.shell(code, password=PASSWORD) == [403, 403, 204, {"username": "ada"}, 204, 403]


def test_the_pages_of_the_quickstart_show_and_end_a_device(project):
    for name, text in FILES.findall(QUICKSTART.read_text()):
        project.write(name, text)
    project.append(example(QUICKSTART, "settings of pages"))
    project.prepare()
    code = """
import re
from django.test import Client
client = Client(enforce_csrf_checks=True, headers={"user-agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"})
def submit(page, path, **data):
    token = re.search('name="csrfmiddlewaretoken" value="(.+?)"', page)[1]
    answer = client.post(path, {**data, "csrfmiddlewaretoken": token})
    said.append([answer.status_code, answer.get("location")])
to_form = client.get("/devices/")["location"]
submit(client.get(to_form).content.decode(), to_form, username="ada", password=password)
page = client.get("/devices/").content.decode()
said.append(re.findall(r"Firefox on Linux, 127.0.0.1, last seen|\\(this device\\)", page))
submit(page, re.search('action="(.+?)"', page)[1])
said.append(client.get("/devices/")["location"])
"""
    signed_in, shown, ended, after = project.shell(code, password=PASSWORD)
    assert signed_in == ended == [302, "/devices/"]
    assert shown == ["Firefox on Linux, 127.0.0.1, last seen", "(this device)"]
    assert after == "/sign-in/?next=/devices/"


@pytest.fixture
def with_views(project):
    for name in ("mysite/views.py", "mysite/urls.py"):
        project.write(name, example(QUICKSTART, name))
    return project


def test_the_tests_of_the_guide_pass_with_django_and_with_pytest(with_views):
    page = GUIDES / "testing.md"
    with_views.write("mysite/tests.py", example(page, "mysite/tests.py") + example(page, "mysite/tests.py, continued"))
    for name in ("mysite/test_me.py", "mysite/test_origin.py", "pytest.ini"):
        with_views.write(name, example(page, name))
    with_views.manage("test", "--verbosity", "0")
    said = run(with_views.folder, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider")
    assert "4 passed" in said


SIGN_IN = """
from django.test import Client
client = Client()
client.post("/login/", {"username": "ada", "password": password}, content_type="application/json")
said.append({name: morsel.value for name, morsel in client.cookies.items()})
"""
ASK = """
from django.test import Client
client = Client()
for name, value in cookies.items():
    client.cookies[name] = value
said.append(client.get("/me/").status_code)
"""


def test_the_key_pair_and_the_issuer_of_the_guide_sign_no_user_out(with_views):
    page = GUIDES / "keys.md"
    with_views.prepare()
    (cookies,) = with_views.shell(SIGN_IN, password=PASSWORD)

    command = example(page, "generate").partition("#")[0].split()
    with_views.manage(*command[2:])
    assert with_views.folder.joinpath("signing-key.pem").stat().st_mode & 0o077 == 0
    with_views.append(example(page, "settings"))
    assert with_views.shell(ASK, cookies=cookies) == [200]

    with_views.append("JWTAUTH |= " + example(page, "issuer").removeprefix("JWTAUTH = "))
    assert with_views.shell(ASK, cookies=cookies) == [200]
    with_views.append('JWTAUTH["ISSUER_FALLBACKS"] = []\n')
    assert with_views.shell(ASK, cookies=cookies) == [403]


def test_the_claims_of_the_guide_are_in_the_token(with_views):
    page = GUIDES / "keys.md"
    with_views.append(example(page, "claims setting"))
    with_views.write("mysite/tokens.py", example(page, "mysite/tokens.py"))
    with_views.prepare()
    code = """
import base64
from django.test import Client
client = Client()
client.post("/login/", {"username": "ada", "password": password}, content_type="application/json")
payload = client.cookies["access_token"].value.split(".")[1]
claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
said.append([claims["is_staff"], claims["groups"]])
"""
    assert with_views.shell("import json\n" + code, password=PASSWORD) == [[True, []]]


def test_the_views_of_the_pages_guide_sign_in_and_out_beside_django(project):
    page = GUIDES / "pages.md"
    project.append(example(QUICKSTART, "settings of pages"))
    for name in ("mysite/views.py", "mysite/receivers.py"):
        project.write(name, example(page, name))
    form = "mysite/templates/sign_in.html"
    project.write(form, example(QUICKSTART, form))
    project.write("mysite/templates/home.html", "{{ user.username }} on {{ session.device }}")
    project.write(
        "mysite/urls.py",
        """
from django.contrib.auth.views import LoginView
from django.urls import path

from . import receivers, views

urlpatterns = [
    path("", views.home, name="home"),
    path("sign-in/", views.sign_in, name="sign-in"),
    path("sign-out/", views.sign_out),
    path("django/", LoginView.as_view(template_name="sign_in.html", next_page="home")),
]
""",
    )
    project.prepare()
    code = """
from django.test import Client
for way in ("/sign-in/", "/django/"):
    client = Client(headers={"user-agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"})
    said.append(client.post(way, {"username": "ada", "password": password})["location"])
    said.append(sorted(name for name, cookie in client.cookies.items() if name.endswith("_token") and cookie.value))
    said.append(client.get("/").content.decode())
    said.append(client.post("/sign-out/")["location"])
    said.append(client.get("/")["location"])
"""
    tokens = ["access_token", "refresh_token"]
    once = ["/", tokens, "ada on Firefox on Linux", "/sign-in/", "/sign-in/?next=/"]
    assert project.shell(code, password=PASSWORD) == once * 2


def test_the_views_of_the_async_guide_sign_in_and_out(project):
    project.write("mysite/views.py", example(GUIDES / "async.md", "mysite/views.py"))
    views = ", ".join(f'path("{name}/", views.{name})' for name in ("me", "sign_in", "sign_out"))
    project.write("mysite/urls.py", f"from django.urls import path\nfrom . import views\nurlpatterns = [{views}]\n")
    project.prepare()
    code = """
import asyncio
from django.test import AsyncClient
async def main():
    client = AsyncClient()
    for password_sent in ("wrong", password):
        answer = await client.post("/sign_in/", {"username": "ada", "password": password_sent})
        said.append([answer.status_code, (await client.get("/me/")).json()["user"]])
    said.append((await client.post("/sign_out/")).status_code)
    said.append((await client.get("/me/")).json()["user"])
asyncio.run(main())
"""
    assert project.shell(code, password=PASSWORD) == [[403, None], [204, "ada"], 204, None]


def test_a_new_password_by_the_view_of_the_guide_ends_the_other_sessions(project):
    project.write("mysite/views.py", example(GUIDES / "ending-sessions.md", "mysite/views.py"))
    urls = example(QUICKSTART, "urls").replace("[path(", '[path("password/", change_password), path(')
    project.write("mysite/urls.py", f"from .views import change_password\n{urls}")
    project.prepare()
    code = """
from django.test import Client
here, elsewhere = Client(), Client()
def post(client, path, **data): return client.post(path, data, content_type="application/json").status_code
for client in (here, elsewhere):
    post(client, "/auth/login/", username="ada", password=password)
for old, new in (("wrong", "battery staple horse"), (password, "short"), (password, "battery staple horse")):
    said.append(post(here, "/password/", old_password=old, new_password=new))
said.append([client.get("/auth/me/").status_code for client in (here, elsewhere)])
"""
    assert project.shell(code, password=PASSWORD) == [400, 400, 204, [200, 403]]


def test_the_views_of_the_step_up_guide_ask_again(project):
    page = GUIDES / "step-up.md"
    parts = ("", ", a page", ", a class", ", a code", ", a poll")
    views = [example(page, f"mysite/views.py{part}") for part in parts]
    views.append("def is_right_code(user, code):\n    return code == '123456'\n")
    project.write("mysite/views.py", "\n\n".join(views))
    own = {"email": "change_email", "close": "close_account", "code": "confirm_code"}
    own |= {"payments": "payments", "news": "news"}
    paths = "".join(f'path("{url}/", views.{name}), ' for url, name in own.items())
    paths += 'path("account/", views.AccountPage.as_view()), '
    urls = example(QUICKSTART, "urls").replace("[path(", f"[{paths}path(")
    project.write("mysite/urls.py", f"from . import views\n{urls}")
    project.prepare()
    code = """
from django.test import Client
from jwtauth.test import stopped_clock
client = Client()
def ask(path, **data):
    response = client.post(path, data, content_type="application/json") if data else client.get(path)
    is_json = response.headers.get("Content-Type") == "application/json"
    said.append([response.status_code, response.json().get("code") if is_json else response.headers.get("Location")])
with stopped_clock() as clock:
    ask("/auth/login/", username="ada", password=password)
    ask("/email/", email="new@example.com")
    clock.advance(1200)
    ask("/email/", email="other@example.com")
    ask("/close/")
    ask("/account/")
    ask("/news/")
    ask("/payments/")
    ask("/code/", code="000000")
    ask("/code/", code="123456")
    ask("/payments/")
    clock.advance(360)
    ask("/close/")
    ask("/auth/reauthenticate/", password=password)
    ask("/close/")
"""
    refused = [403, "reauthentication_required"]
    assert project.shell(code, password=PASSWORD) == [
        [200, None],
        [200, None],
        refused,
        refused,
        [302, "/confirm/?next=/account/"],
        [200, None],
        refused,
        [403, None],
        [200, None],
        [200, None],
        refused,
        [200, None],
        [200, None],
    ]


def test_the_serializers_of_the_custom_user_guide_sign_in_by_a_code(project):
    page = GUIDES / "custom-user.md"
    project.write("accounts/__init__.py", "")
    project.write(
        "accounts/models.py",
        """
from django.contrib.auth.models import AbstractUser

class User(AbstractUser):
    def check_code(self, code):
        return code == "123456"
""",
    )
    project.write("accounts/serializers.py", example(page, "accounts/serializers.py"))
    project.append('INSTALLED_APPS += ["accounts"]\nAUTH_USER_MODEL = "accounts.User"\n' + example(page, "settings"))
    project.manage("makemigrations", "accounts", "--verbosity", "0")
    project.prepare()
    code = """
from django.contrib.auth import get_user_model
from django.test import Client
client = Client()
def log_in(code):
    answer = client.post("/auth/login/", {"email": "ada@example.com", "code": code}, content_type="application/json")
    said.append([answer.status_code, answer.json().get("code"), answer.json().get("user")])
log_in("000000")
log_in("123456")
get_user_model().objects.update(is_active=False)
log_in("123456")
"""
    refused = [401, "no_active_account", None]
    assert project.shell(code) == [refused, [200, None, {"id": 1, "email": "ada@example.com"}], refused]


def test_the_login_view_of_0_0_8_refuses_the_forms_of_other_sites(tmp_path):
    project = Project(tmp_path)
    project.append(SETTINGS_0_0_8)
    project.write("mysite/views.py", VIEWS_0_0_8)
    project.write("mysite/urls.py", URLS_0_0_8)
    project.prepare()
    code = """
import json
from django.test import Client
body = json.dumps({"username": "ada", "password": password})
for origin in ("https://elsewhere.example", "http://testserver"):
    client = Client(enforce_csrf_checks=True, headers={"origin": origin})
    answer = client.post("/login/", body, content_type="text/plain")
    said.append([answer.status_code, sorted(answer.cookies)])
"""
    assert project.shell(code, password=PASSWORD) == [[403, []], [204, ["access_token", "refresh_token"]]]


def test_the_source_and_the_class_of_the_guide_move_logins_in_and_answer_401(project):
    page = GUIDES / "moving-in.md"
    for name, text in FILES.findall(page.read_text()):
        project.write(name, text)
    until = (datetime.now(timezone.utc) + timedelta(days=1)).isoformat()
    project.append(example(page, "own source").replace("2027-03-01", until))
    classes = {"DEFAULT_AUTHENTICATION_CLASSES": ["mysite.authentication.Authentication"]}
    project.append(f"REST_FRAMEWORK |= {classes}\n")
    project.write(
        "mysite/urls.py",
        """
from django.urls import include, path
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response

@api_view()
@permission_classes([IsAuthenticated])
def who(request):
    return Response(request.user.username)

urlpatterns = [path("who/", who), path("auth/", include("jwtauth.urls"))]
""",
    )
    project.prepare()
    code = """
from time import time
from django.core import signing
from django.test import Client
def cookie(at, salt="remember", user=1):
    return signing.dumps({"user": user, "at": at}, salt=salt)  # which adds the second in which it signs
def remembered(cookie):
    client = Client()
    client.cookies["remember"] = cookie
    return client
now = int(time())
said.append(Client().get("/who/").status_code)
said.append([remembered(cookie(now, **wrong)).get("/who/").status_code for wrong in ({"salt": "other"}, {"user": 2})])
first = cookie(now - 60)
client = remembered(first)
said.append([client.get("/who/").json(), sorted(client.cookies)])
del client.cookies["remember"]
said.append(client.get("/who/").json())
said.append(client.post("/auth/logout/").status_code)
said.append(remembered(first).get("/who/").status_code)
said.append(remembered(cookie(now)).get("/who/").json())
"""
    signed_in = ["ada", ["access_token", "refresh_token", "remember"]]
    assert project.shell(code) == [401, [401, 401], signed_in, "ada", 204, 401, "ada"]
    assert project.manage("jwtauth_moved").startswith("mysite.old_logins.Remembered: 2 moved in, 1 of them in use; ")


def test_the_settings_of_the_deployment_guide_pass_the_checks(project):
    page = GUIDES / "deployment.md"
    names = ("cookie names", "proxy", "middleware")
    project.append('DEBUG = False\nJWTAUTH = {"NUM_PROXIES": 1}\n')
    project.append("\n".join(example(page, name).replace("JWTAUTH = ", "JWTAUTH |= ") for name in names))
    project.append('MIDDLEWARE += ["django.contrib.messages.middleware.MessageMiddleware"]\n')
    project.manage("migrate", "--verbosity", "0")
    said = project.manage("check", "--deploy", "--tag", "jwtauth", "--fail-level", "INFO")
    assert "no issues" in said


# --- sites without Django REST Framework

VISIT = """
import sys
from django.test import Client
client = Client(enforce_csrf_checks=True)
def ask(method, path, *sent, **headers):
    answer = getattr(client, method)(prefix + path, *sent, content_type=content_type, headers=headers)
    said.append([answer.status_code, answer.json() if answer.content else None])
ask("get", "me/")
ask("post", "login/", {"username": "ada", "password": "wrong"})
ask("post", "login/", {"username": "ada", "password": password}, origin="https://elsewhere.example")
ask("post", "login/", {"username": "ada", "password": password})
ask("get", "me/")
"""
REFUSED_ORIGIN = [403, {"detail": "CSRF Failed: origin does not match.", "code": "cross_origin"}]
ADA = {"username": "ada"}


@pytest.fixture
def project_without_drf(tmp_path):
    made = Project(tmp_path)
    made.append(example(GUIDES / "plain-django.md", "settings"))
    return made


def test_the_views_of_plain_django_sign_in_and_out(project_without_drf):
    for name, text in FILES.findall((GUIDES / "plain-django.md").read_text()):
        project_without_drf.write(name, text)
    project_without_drf.prepare()
    code = """
ask("get", "sessions/")
ask("post", "logout/")
ask("get", "me/")
said.append("rest_framework" in sys.modules)
"""
    anonymous, wrong, foreign, signed_in, me, sessions, *rest = project_without_drf.shell(
        VISIT.replace("content_type=content_type, ", "") + code, password=PASSWORD, prefix="/"
    )
    assert anonymous == [403, {"detail": "Sign in first."}]
    assert wrong[0] == 403
    assert "__all__" in wrong[1]["errors"]
    assert foreign == REFUSED_ORIGIN
    assert signed_in == me == [200, ADA]
    assert [session["device"] for session in sessions[1]["sessions"]] == ["Unknown device"]
    assert rest == [[204, None], anonymous, False]


def test_the_operations_of_ninja_sign_in_and_out(project_without_drf):
    for name, text in FILES.findall((GUIDES / "django-ninja.md").read_text()):
        project_without_drf.write(name, text)
    project_without_drf.append("DEBUG = False\n")
    project_without_drf.prepare()
    code = """
ask("get", "me/async/")
ask("get", "me/", authorization="Bearer garbage")
ask("post", "logout/")
ask("get", "me/")
said.append("rest_framework" in sys.modules)
"""
    anonymous, wrong, foreign, signed_in, me, me_async, bearer, *rest = project_without_drf.shell(
        VISIT + code, password=PASSWORD, prefix="/api/", content_type="application/json"
    )
    assert anonymous == [
        403,
        {"detail": "Authentication credentials were not provided.", "code": "not_authenticated"},
    ]
    assert wrong == [403, {"detail": "Wrong username or password."}]
    assert foreign == REFUSED_ORIGIN
    assert signed_in == me == me_async == [200, ADA]
    assert bearer[0] == 401
    assert bearer[1]["code"] == "token_not_valid"
    assert rest == [[204, None], anonymous, False]
