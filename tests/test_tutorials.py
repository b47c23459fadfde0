"""The tutorial, troubleshooting and the guides that move a site, typed literally into a new project."""

import re
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

import jwtauth
from jwtauth import urls
from tests.test_startproject import PASSWORD, SETTINGS_0_0_8, URLS_0_0_8, VIEWS_0_0_8, clean_environment

ROOT = Path(__file__).parents[1]
GUIDES = ROOT / "docs/guides"
# A line such as "At the end of `mysite/settings.py`:", and the block below it.
BLOCK = re.compile(r"^ *([^\n`]*)`([\w./-]+\.(?:py|html))`[^\n]*:\n\n *```\w+\n(.*?)^ *```$", re.M | re.S)
# What each step begins with: Django is set up, and nothing is reported.
PRELUDE = (
    f"""
PASSWORD = {PASSWORD!r}
"""
    """
import json, os
from io import StringIO

os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
import django

django.setup()
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client as DjangoClient
from django.urls import path
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response

import mysite.urls

settings.ALLOWED_HOSTS = ["testserver"]
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # quick
said = StringIO()
call_command("check", stdout=said, stderr=said)
assert "System check identified no issues (0 silenced)." in said.getvalue(), said.getvalue()
call_command("migrate", verbosity=0)
User = get_user_model()
if not User.objects.exists():
    User.objects.create_user("ada", "ada@example.org", PASSWORD)


@api_view(["GET", "POST"])
@permission_classes([IsAuthenticated])
def who(request):
    return Response(request.user.username)


mysite.urls.urlpatterns.append(path("who/", who))


class Client(DjangoClient):
    def request(self, **request):
        response = super().request(**request)
        for name in [name for name, cookie in self.cookies.items() if cookie["max-age"] == 0]:
            del self.cookies[name]  # as browsers do
        return response


def post(client, path, data=None, **headers):
    return client.post(path, data or {}, content_type="application/json", headers=headers)


def me(client, **headers):
    return client.get(ME, headers=headers).status_code


def save(name, value):
    open(name + ".json", "w").write(json.dumps(value))


def load(name):
    return json.load(open(name + ".json"))


ME = "/auth/me/"
CREDENTIALS = {"username": "ada", "password": PASSWORD}
"""
)


class Project:
    """A project called mysite, into which the blocks of a guide are typed."""

    def __init__(self, folder):
        self.folder = folder
        self.python("-m", "django", "startproject", "mysite", ".")
        self.made = {path: path.read_text() for path in (folder / "mysite").glob("*s.py")}

    def python(self, *arguments, **environment):
        environment = {**clean_environment(), **environment}
        done = subprocess.run(
            [sys.executable, *arguments], cwd=self.folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def type(self, blocks, since=-1):
        """Write each block into its file: at the end, where its line says so. All others are as Django made them.

        Logins of other packages are accepted until in 60 days, and move in from in ``since`` days on.
        """
        for path, text in self.made.items():
            path.write_text(text)
        for line, name, text in blocks:
            path = self.folder / name
            for key, days in (("since", since), ("until", 60)):
                at = (datetime.now(timezone.utc) + timedelta(days=days)).isoformat()
                text = re.sub(rf'"{key}": "[^"]+"', f'"{key}": "{at}"', text)
            path.parent.mkdir(parents=True, exist_ok=True)
            if "the end of" in line:
                text = path.read_text() + "\n\n" + text
            path.write_text(text)

    def run(self, steps, **environment):
        """Run these statements inside the project, after its checks."""
        return self.python("-c", PRELUDE + steps, **environment)


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def blocks(guide, phase=""):
    """The blocks of a guide with their lines and file names, of those whose line begins so."""
    every = [(line, name, dedent(text)) for line, name, text in BLOCK.findall((GUIDES / guide).read_text())]
    found = [block for block in every if block[0].startswith(phase)]
    assert found
    return found


def needs(*modules):
    missing = [name for name in modules if find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{missing} not installed: requirements/neighbours.txt")


DJ_REST_AUTH = """
ME = "/session/me/"


def having(name):
    browser = Client()
    browser.cookies.load(load(name))
    return browser


def keep(name, browser):
    save(name, {name: cookie.value for name, cookie in browser.cookies.items()})


"""


KNOX = """
from base64 import b64encode

from_page = {"sec-fetch-site": "same-origin"}


def basic_of(name):
    return "Basic " + b64encode(f"{name}:{PASSWORD}".encode()).decode()


basic = {"authorization": basic_of("ada")}


def old(name):
    return {"authorization": "Token " + load(name)}


def seen(headers):
    answer = Client().get("/who/", headers=headers)
    return answer.json() if answer.status_code == 200 else answer.status_code


"""


DJANGO_SESSIONS = """
def signed_in(name):
    browser = Client()
    browser.cookies["sessionid"] = load(name)
    return browser
"""


SIMPLEJWT = """
def seen(pair):
    answer = Client().get("/who/", headers={"authorization": "Bearer " + pair["access"]})
    return answer.json() if answer.status_code == 200 else answer.status_code


def refresh(pair):
    return post(Client(), "/api/token/refresh/", {"refresh": pair["refresh"]})


def renewed(pair):
    answer = refresh(pair)
    assert answer.status_code == 200, answer.content
    return {**pair, **answer.json()}
"""


@needs("rest_framework_simplejwt")
def test_simplejwt_logins_move_in_and_back(project):
    guide = "coming-from-simplejwt.md"
    before = blocks(guide, "Before")
    settings = blocks(guide, "For a while, at the end")
    first = blocks(guide, "Clients sign out") + blocks(guide, "For a while, in")
    second = [*settings, *first, *blocks(guide, "From the second deploy")]
    project.type(before)
    project.run("""
for name in ("app", "page", "stays", "leaves", "late"):
    save(name, post(Client(), "/api/token/", CREDENTIALS).json())
wrong = post(Client(), "/api/token/", {**CREDENTIALS, "password": "wrong"})
assert wrong.status_code == 401 and set(wrong.json()) == {"detail"}
""")

    # Deployed beside workers that do not know jwtauth: these go on with what each client has.
    project.type([*settings, *first], since=1)
    project.run(
        SIMPLEJWT
        + """
app = renewed(load("app"))
assert seen(app) == "ada"
save("app", app)
assert post(Client(), "/api/token/blacklist/", {"refresh": load("leaves")["refresh"]}).status_code == 200
assert refresh(load("leaves")).status_code == 401
"""
    )
    project.type(before)
    project.run(
        SIMPLEJWT
        + """
assert seen(load("app")) == "ada"
save("app", renewed(load("app")))
save("leaves", post(Client(), "/api/token/", CREDENTIALS).json())
"""
    )

    project.type([*settings, *first])
    project.run(
        SIMPLEJWT
        + """
app = renewed(load("app"))
assert seen(app) == "ada" and "refresh_expires_in" in app
app = renewed(app)
assert seen(app) == "ada" and refresh({"refresh": "x"}).status_code == 401
save("moved", app)
assert User.objects.get().jwtauth_sessions.count() == 1
leaves = renewed(load("leaves"))
assert post(Client(), "/api/token/blacklist/", {"refresh": leaves["refresh"]}).status_code == 200
assert refresh(leaves).status_code == refresh(load("leaves")).status_code == 401
assert Client().get("/who/").status_code == 403
said = StringIO()
call_command("jwtauth_moved", stdout=said)
assert said.getvalue().startswith("simplejwt: 2 moved in, "), said.getvalue()
"""
    )

    project.type(second)
    project.run(
        SIMPLEJWT
        + """
assert seen(load("moved")) == "ada"
assert "refresh_expires_in" in post(Client(), "/api/token/", CREDENTIALS).json()
page = Client()
assert post(page, "/auth/cookies/", authorization="Bearer " + load("page")["access"]).status_code == 403
pair = post(page, "/auth/token/refresh/", {"refresh": load("page")["refresh"]}).json()
assert post(page, "/auth/cookies/", authorization="Bearer " + pair["access"]).status_code == 204
assert me(page) == 200 and seen(pair) == 401 and refresh(load("page")).status_code == 401
assert post(Client(), "/auth/cookies/").status_code == 403
save("page", {name: cookie.value for name, cookie in page.cookies.items()})
save("moved", renewed(load("moved")))
"""
    )

    # Going back: no login moves in any more, those who moved stay, and new logins are simplejwt's.
    project.type([*settings, *first], since=60)
    project.run(
        SIMPLEJWT
        + """
moved = renewed(load("moved"))
assert seen(moved) == "ada" and "refresh_expires_in" in moved
page = Client()
page.cookies.load(load("page"))
assert me(page) == 200
stays = renewed(load("stays"))
assert seen(stays) == "ada" and "refresh_expires_in" not in stays
new = post(Client(), "/api/token/", CREDENTIALS).json()
assert seen(new) == "ada" and set(new) == {"access", "refresh"}
save("stays", stays)
"""
    )
    project.type(before)
    project.run(
        SIMPLEJWT
        + """
assert seen(load("stays")) == "ada" and seen(renewed(load("stays"))) == "ada"
assert seen(load("moved")) == 401
"""
    )

    project.type(blocks(guide, "Now"))
    project.run(
        SIMPLEJWT
        + """
page = Client()
page.cookies.load(load("page"))
assert me(page) == 200 and page.get("/who/").json() == "ada"
assert seen(load("moved")) == "ada" and seen(load("late")) == 401
assert me(Client()) == 403
client = Client()
assert post(client, "/auth/login/", {**CREDENTIALS, "password": "wrong"}).json()["code"] == "no_active_account"
assert post(client, "/auth/login/", CREDENTIALS).status_code == 200
assert me(client) == 200
"""
    )


@needs("dj_rest_auth", "rest_framework_simplejwt")
def test_dj_rest_auth_cookies_move_in(project):
    guide = "coming-from-dj-rest-auth.md"
    project.type(blocks(guide, "Before"))
    project.run(
        DJ_REST_AUTH
        + """
for name in ("a", "b", "late"):
    client = Client()
    answer = post(client, "/auth/login/", CREDENTIALS)
    assert answer.status_code == 200 and set(answer.json()) == {"access", "refresh", "user"}, answer.json()
    assert answer.json()["refresh"] == ""
    keep(name, client)
assert set(load("a")) == {"jwt-auth", "jwt-refresh"}
assert client.get("/who/").json() == "ada"
wrong = post(Client(), "/auth/login/", {**CREDENTIALS, "password": "wrong"})
assert wrong.status_code == 400 and set(wrong.json()) == {"non_field_errors"}
assert Client().get("/who/").status_code == 401
client.cookies["jwt-auth"] = "x"
assert client.get("/who/").json()["code"] == "token_not_valid"
"""
    )

    settings, sign_out = blocks(guide, "For a while, at the end"), blocks(guide, "dj-rest-auth's view to sign out")
    first = [*settings, *sign_out, *blocks(guide, "For a while, in")]
    project.type(first, since=1)
    project.run(
        DJ_REST_AUTH
        + """
browser = having("a")
assert browser.get("/who/").json() == "ada" and set(browser.cookies) == {"jwt-auth", "jwt-refresh"}
del browser.cookies["jwt-auth"]
answer = post(browser, "/auth/token/refresh/")
assert answer.status_code == 200 and set(browser.cookies) == {"jwt-auth", "jwt-refresh"}, answer.content
keep("a", browser)
"""
    )

    project.type(first)
    project.run(
        DJ_REST_AUTH
        + """
browser = having("a")
assert browser.get("/who/").json() == "ada" and me(browser) == 200
assert set(browser.cookies) == {"jwt-auth", "jwt-refresh", "access_token", "refresh_token"}
assert post(browser, "/auth/token/refresh/").status_code == 200 and browser.get("/auth/user/").status_code == 200
keep("new", browser)
leaves = having("b")
assert me(leaves) == 200
assert post(leaves, "/auth/logout/").status_code == 204 and not leaves.cookies
assert me(having("b")) == 403 and Client().get("/who/").status_code == 403
"""
    )

    project.type([*settings, *sign_out, *blocks(guide, "From the second deploy")])
    project.run(
        DJ_REST_AUTH
        + """
assert me(having("new")) == 200
client = Client()
assert post(client, "/auth/login/", CREDENTIALS).status_code == 200
assert set(client.cookies) == {"access_token", "refresh_token"}
assert post(client, "/auth/token/refresh/").status_code == 200
assert post(client, "/auth/logout/").status_code == 204 and me(client) == 403
"""
    )

    project.type(first, since=60)
    project.run(
        DJ_REST_AUTH
        + """
assert me(having("new")) == 200
client = Client()
assert post(client, "/auth/login/", CREDENTIALS).status_code == 200
assert set(client.cookies) == {"jwt-auth", "jwt-refresh"} and client.get("/who/").json() == "ada"
keep("back", client)
"""
    )
    project.type(blocks(guide, "Before"))
    project.run(DJ_REST_AUTH + """assert having("back").get("/who/").json() == "ada" """)

    project.type(blocks(guide, "Now"))
    project.run(
        DJ_REST_AUTH
        + """
assert me(having("new")) == 200 and me(having("late")) == 403
client, other = Client(), Client()
for each in (client, other):
    assert post(each, "/session/login/", CREDENTIALS).status_code == 200
assert client.get("/auth/user/").json()["username"] == "ada"
new = {"new_password1": "staple battery horse", "new_password2": "staple battery horse"}
assert post(client, "/auth/password/change/", new).status_code == 200
assert me(client) == 200 and me(other) == 403
assert post(Client(), "/auth/password/reset/", {"email": "unknown@example.org"}).status_code == 200
assert post(client, "/session/logout/").status_code == 204 and me(client) == 403
"""
    )


@needs("knox")
def test_knox_tokens_move_in(project):
    guide = "coming-from-knox.md"
    project.type(blocks(guide, "Before"))
    project.run(
        KNOX
        + """
for name in ("page", "app", "new app", "leaves", "everywhere", "late"):
    save(name, post(Client(), "/api/auth/login/", **basic).json()["token"])
assert seen(old("page")) == "ada"
assert Client().get("/who/").status_code == 401
assert post(Client(), "/api/auth/login/").status_code == 401
"""
    )

    while_moving = blocks(guide, "For a while") + blocks(guide, "knox's view")
    project.type(while_moving, since=1)
    project.run(
        KNOX
        + """
page = Client()
assert page.get("/who/", headers={**old("page"), **from_page}).json() == "ada" and not page.cookies
"""
    )

    project.type(while_moving)
    project.run(
        KNOX
        + """
page = Client()
assert page.get("/auth/me/", headers={**old("page"), **from_page}).status_code == 200
assert me(page) == 200 and page.get("/who/").json() == "ada" and page.get("/who/", headers=old("page")).json() == "ada"
assert seen(old("app")) == "ada"
pair = post(Client(), "/auth/token/refresh/", {"refresh": load("new app")}).json()
assert seen({"authorization": "Bearer " + pair["access"]}) == "ada"
save("new", post(Client(), "/auth/token/refresh/", {"refresh": pair["refresh"]}).json())
assert post(Client(), "/api/auth/logout/", **old("leaves")).status_code == 204
assert seen(old("leaves")) == 403 and seen(old("app")) == "ada"
save("page cookies", {name: cookie.value for name, cookie in page.cookies.items()})

User.objects.create_user("bob", password=PASSWORD)
bob = post(Client(), "/api/auth/login/", authorization=basic_of("bob")).json()["token"]
phone, page = {"authorization": "Token " + bob}, Client()
other = post(Client(), "/api/auth/login/", authorization=basic_of("bob")).json()["token"]
assert page.get("/who/", headers={"authorization": "Token " + other, **from_page}).json() == "bob"
assert post(page, "/api/auth/logoutall/").status_code == 204
assert seen(phone) == seen({"authorization": "Token " + other}) == me(page) == 403
"""
    )

    project.type(while_moving, since=60)
    project.run(
        KNOX
        + """
page = Client()
page.cookies.load(load("page cookies"))
assert me(page) == 200 and seen(old("app")) == "ada"
save("again", post(Client(), "/api/auth/login/", **basic).json()["token"])
"""
    )
    project.type(blocks(guide, "Before"))
    project.run(KNOX + """assert seen(old("app")) == seen(old("again")) == "ada" and seen(old("page")) == 401""")

    project.type(blocks(guide, "Now"))
    project.run(
        KNOX
        + """
page = Client()
page.cookies.load(load("page cookies"))
assert me(page) == 200 and page.get("/who/").json() == "ada"
assert seen(old("late")) == 403
assert seen({"authorization": "Bearer " + load("new")["access"]}) == "ada"
client = Client()
assert post(client, "/auth/login/", CREDENTIALS).status_code == 200 and me(client) == 200
"""
    )


def test_django_sessions_move_in(project):
    guide = "coming-from-django-sessions.md"
    urls = [block for block in blocks(guide, "Now") if block[1] == "mysite/urls.py"]
    project.type(blocks(guide, "Before"))
    project.run("""
for name in ("a", "b", "late"):
    client = Client()
    assert client.login(**CREDENTIALS)
    assert client.get("/who/").json() == "ada"
    save(name, client.cookies["sessionid"].value)
assert Client().get("/who/").status_code == 403
""")

    while_moving = [*urls, *blocks(guide, "For a while")]
    project.type(while_moving, since=1)
    project.run(
        DJANGO_SESSIONS
        + """
browser = signed_in("a")
assert browser.get("/who/").json() == "ada" and set(browser.cookies) == {"sessionid"}
"""
    )
    project.type(while_moving)
    project.run(
        DJANGO_SESSIONS
        + """
browser = signed_in("a")
assert browser.get("/who/").json() == "ada"
assert set(browser.cookies) == {"sessionid", "access_token", "refresh_token"}
assert me(browser) == 200 and browser.get("/admin/").status_code == 302  # not staff
session = User.objects.get().jwtauth_sessions.get()
assert session.backend == "django.contrib.auth.backends.ModelBackend"
save("new", {name: cookie.value for name, cookie in browser.cookies.items()})
leaves = signed_in("b")
assert post(leaves, "/auth/logout/", origin="http://testserver").status_code == 204
assert me(leaves) == me(signed_in("b")) == 403
"""
    )

    project.type(while_moving, since=60)
    project.run("""
browser, new = Client(), Client()
browser.cookies.load(load("new"))
assert me(browser) == 200 and new.login(**CREDENTIALS)
assert new.get("/who/").json() == "ada" and set(new.cookies) == {"sessionid"}
save("back", [new.cookies["sessionid"].value, browser.cookies["sessionid"].value])
""")
    project.type(blocks(guide, "Before"))
    project.run("""
for key in load("back"):
    browser = Client()
    browser.cookies["sessionid"] = key
    assert browser.get("/who/").json() == "ada"
""")

    project.type(blocks(guide, "Now"))
    project.run(
        DJANGO_SESSIONS
        + """
old, new = signed_in("late"), Client()
new.cookies.load(load("new"))
assert me(old) == 403 and me(new) == 200
assert old.get("/admin/").wsgi_request.user.username == "ada"
client = Client(enforce_csrf_checks=True)
assert post(client, "/auth/login/", CREDENTIALS).status_code == 200 and me(client) == 200
assert post(client, "/auth/logout/", origin="https://elsewhere.example").json()["code"] == "cross_origin"
assert post(client, "/auth/logout/", origin="http://testserver").status_code == 204 and me(client) == 403
"""
    )


PROTOTYPE = ROOT / ".tools/prototype-0.0.8"


@pytest.mark.skipif(not PROTOTYPE.is_dir() or find_spec("jwt") is None, reason="0.0.8 not installed: make bench")
def test_logins_of_0_0_8_move_in(project):
    urls = [("", "mysite/views.py", VIEWS_0_0_8), ("", "mysite/urls.py", URLS_0_0_8)]
    names = SETTINGS_0_0_8.replace("JWTAuthM", "AuthenticationM").replace("JWTAuthen", "JwtAuthen")  # as 0.0.8 has them
    settings = ("At the end of", "mysite/settings.py", names)
    project.type([*urls, settings])
    project.run(
        """
for name in ("a", "b"):
    client = Client()
    assert post(client, "/login/", CREDENTIALS).status_code == 204
    assert client.get("/who/").json() == "ada"
    save(name, {name: cookie.value for name, cookie in client.cookies.items()})
client.delete("/logout/")
assert client.get("/who/").status_code == 403
""",
        PYTHONPATH=str(PROTOTYPE),
    )

    project.type([*urls, settings, *blocks("upgrade-from-0.0.8.md", "last login of 0.0.8")])
    project.run("""
browser, ended = Client(), Client()
browser.cookies.load(load("a"))
ended.cookies.load(load("b"))
assert browser.get("/who/").json() == "ada"
assert browser.cookies["access_token"].value != load("a")["access_token"]
assert browser.get("/who/").json() == "ada"
assert ended.get("/who/").status_code == 403
save("new", {name: cookie.value for name, cookie in browser.cookies.items()})
""")

    project.type([*urls, settings])
    project.run("""
old, new = Client(), Client()
old.cookies.load(load("a"))
new.cookies.load(load("new"))
assert old.get("/who/").status_code == 403
assert new.get("/who/").json() == "ada"
assert new.delete("/logout/").status_code == 204 and new.get("/who/").status_code == 403
""")


ALLAUTH = """
from django.conf import settings

HEADLESS = "/_allauth/browser/v1"

def signed_in(name):
    browser = Client()
    browser.cookies["sessionid"] = load(name)
    return browser

def signed_in_by_new():
    browser = Client()
    browser.cookies["sessionid"] = load("new")["sessionid"]
    return browser

def app(name):
    answer = Client().get("/who/", headers={"x-session-token": load(name)})
    return answer.json() if answer.status_code == 200 else answer.status_code

def headless(client, method, path, data=None):
    client.get(HEADLESS + "/config")
    token = client.cookies["csrftoken"].value
    ask = getattr(client, method)
    return ask(HEADLESS + path, data or {}, content_type="application/json", headers={"x-csrftoken": token})
"""


@needs("allauth")
def test_allauth_logins_move_in(project):
    guide = "coming-from-allauth.md"
    project.type(blocks(guide, "Before"))
    project.run(
        ALLAUTH
        + """
for name in ("a", "b"):
    client = Client(enforce_csrf_checks=True)
    assert headless(client, "post", "/auth/login", CREDENTIALS).status_code == 200
    assert client.get("/who/").json() == "ada"
    save(name, client.cookies["sessionid"].value)
for name in ("app", "new app"):
    save(name, post(Client(), "/_allauth/app/v1/auth/login", CREDENTIALS).json()["meta"]["session_token"])
assert app("app") == app("new app") == "ada"
"""
    )

    first = blocks(guide, "For a while")
    project.type(first, since=1)
    project.run(
        ALLAUTH
        + """
browser = signed_in("a")
assert browser.get("/who/").json() == "ada" and set(browser.cookies) == {"sessionid"}
assert app("app") == "ada"
"""
    )
    project.type(first)
    project.run(
        ALLAUTH
        + """
browser = signed_in("a")
assert browser.get("/who/").json() == "ada" and me(browser) == 200
assert set(browser.cookies) == {"sessionid", "access_token", "refresh_token"}
assert headless(browser, "get", "/auth/session").status_code == 200
save("new", {name: browser.cookies[name].value for name in ("sessionid", "access_token", "refresh_token")})
leaves = signed_in("b")
assert me(leaves) == 200 and headless(leaves, "delete", "/auth/session").status_code == 401
assert me(leaves) == me(signed_in("b")) == 403
assert app("app") == "ada"
"""
    )

    adapter = [block for block in blocks(guide, "Now") if block[1] == "mysite/adapter.py"]
    project.type([*first, *adapter, *blocks(guide, "From the second deploy")])
    project.run(
        ALLAUTH
        + """
browser = Client()
browser.cookies.load(load("new"))
assert me(browser) == 200 and app("app") == "ada"
client = Client(enforce_csrf_checks=True)
assert headless(client, "post", "/auth/login", CREDENTIALS).status_code == 200
assert {"access_token", "refresh_token"} < set(client.cookies)
pair = post(Client(), "/auth/token/refresh/", {"refresh": load("new app")}).json()
assert post(Client(), "/auth/token/refresh/", {"refresh": pair["refresh"]}).status_code == 200
assert Client().get("/who/", headers={"authorization": "Bearer " + pair["access"]}).json() == "ada"
"""
    )

    project.type(first, since=60)
    project.run(
        ALLAUTH
        + """
browser = Client()
browser.cookies.load(load("new"))
assert me(browser) == 200 and app("app") == "ada"
"""
    )
    project.type(blocks(guide, "Before"))
    project.run(ALLAUTH + """assert signed_in_by_new().get("/who/").json() == "ada" and app("app") == "ada" """)

    project.type(blocks(guide, "Now"))
    project.run(
        ALLAUTH
        + """
browser = Client()
browser.cookies.load(load("new"))
assert me(browser) == 200 and app("app") == 403
client = Client(enforce_csrf_checks=True)
answer = headless(client, "post", "/auth/login", {**CREDENTIALS, "password": "wrong"})
assert answer.status_code == 400, answer.content
assert headless(client, "post", "/auth/login", CREDENTIALS).status_code == 200
assert me(client) == 200 and client.get("/who/").json() == "ada"
assert headless(client, "get", "/auth/session").status_code == 200
assert headless(client, "delete", "/auth/session").status_code == 401
assert me(client) == 403

assert headless(client, "post", "/auth/login", CREDENTIALS).status_code == 200
assert post(client, "/auth/logout/").status_code == 204
assert me(client) == 403 and headless(client, "get", "/auth/session").status_code == 401

new = {"username": "bob", "email": "bob@example.org", "password": "staple battery horse"}
other = Client()
assert headless(other, "post", "/auth/signup", new).status_code == 200
assert other.get("/who/").json() == "bob"
change = {"current_password": new["password"], "new_password": "horse battery staple"}
third = Client()
assert headless(third, "post", "/auth/login", {"username": "bob", "password": new["password"]}).status_code == 200
assert headless(other, "post", "/account/password/change", change).status_code == 200
assert me(other) == 200 and me(third) == 403
"""
    )


# What the quickstart's settings are.
QUICKSTART = """
INSTALLED_APPS += ["rest_framework", "jwtauth"]
MIDDLEWARE += ["jwtauth.middleware.JWTAuthMiddleware"]
REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ["jwtauth.JWTAuthentication"]}
"""
URLS = """
from django.contrib import admin
from django.urls import include, path

urlpatterns = [path("admin/", admin.site.urls), path("auth/", include("jwtauth.urls"))]
"""


def test_the_symptoms_of_the_troubleshooting_page_are_those_of_a_site(project):
    base = [("At the end of", "mysite/settings.py", QUICKSTART), ("", "mysite/urls.py", URLS)]
    project.type([*base, *blocks("troubleshooting.md")])
    project.run("""
import logging
from django.contrib.auth.models import User
from django.test import override_settings
from rest_framework.authentication import SessionAuthentication, TokenAuthentication
from jwtauth import JWTAuthentication
from jwtauth.test import stopped_clock

logged = []
handler = logging.getLogger("jwtauth").handlers[0]
handler.emit = lambda record: logged.append(record.event)

client = Client(enforce_csrf_checks=True)
assert post(client, "/auth/login/", CREDENTIALS).status_code == 200
assert logged == ["session_started"]

refused = Client().get("/who/")
assert refused.status_code == 403
assert refused.json() == {"detail": "Authentication credentials were not provided."}
refused = Client().get("/auth/me/")
assert refused.status_code == 403 and refused.json()["code"] == "not_authenticated"

refused = post(client, "/auth/logout/", **{"sec-fetch-site": "cross-site"})
assert refused.json() == {"detail": "CSRF Failed: request from another site.", "code": "cross_origin"}
refused = post(client, "/auth/logout/", origin="https://testserver")
assert refused.json() == {"detail": "CSRF Failed: origin does not match.", "code": "cross_origin"}
assert logged[1:] == ["cross_origin"] * 2

who.cls.authentication_classes = [TokenAuthentication, JWTAuthentication]
assert Client().get("/who/").status_code == 401
who.cls.authentication_classes = [SessionAuthentication, JWTAuthentication]
refused = post(client, "/who/")
assert refused.status_code == 403
assert refused.json() == {"detail": "CSRF Failed: CSRF cookie not set."}
who.cls.authentication_classes = [JWTAuthentication, SessionAuthentication]
assert post(client, "/who/").json() == "ada"
who.cls.authentication_classes = [JWTAuthentication]

bad = client.get("/who/", headers={"authorization": "Bearer x"})
assert bad.status_code == 401 and bad.json()["code"] == "token_not_valid"

by_django = Client()
by_django.force_login(User.objects.get())
assert "access_token" not in by_django.cookies and by_django.get("/who/").status_code == 403

old = settings.SECRET_KEY
with override_settings(SECRET_KEY="another key, at least 32 bytes long"):
    assert me(client) == 403
with override_settings(SECRET_KEY="another key, at least 32 bytes long", SECRET_KEY_FALLBACKS=[old]):
    assert me(client) == 200

with stopped_clock() as clock:
    client = Client()
    assert post(client, "/auth/login/", CREDENTIALS).status_code == 200
    copied = dict(client.cookies)
    clock.advance(23 * 60 * 60)
    assert me(client) == 200
    clock.advance(60)
    assert me(client) == 200
    clock.advance(60)
    late = Client()
    late.cookies.load({name: cookie.value for name, cookie in copied.items()})
    del late.cookies["access_token"]
    del logged[:]
    assert me(late) == 403 and set(logged) == {"refresh_token_reused", "session_ended"}
    assert me(client) == 403

    client = Client()
    assert post(client, "/auth/login/", CREDENTIALS).status_code == 200
    clock.advance(13 * 24 * 60 * 60)
    assert me(client) == 200
    clock.advance(14 * 24 * 60 * 60)
    assert me(client) == 403

settings.DEBUG = False
answer = post(Client(), "/auth/login/", CREDENTIALS)
assert all(cookie["secure"] and cookie["samesite"] == "Strict" for cookie in answer.cookies.values())
statuses = {post(Client(), "/auth/login/", CREDENTIALS).status_code for _ in range(31)}
assert statuses == {200, 429}
""")


def test_the_troubleshooting_page_names_what_there_is():
    page = (GUIDES / "troubleshooting.md").read_text()
    package = "".join(path.read_text() for path in (ROOT / "python/jwtauth").rglob("*.py"))
    checks = set(re.findall(r"jwtauth\.([EW]\d{3})", page))
    assert len(checks) > 5
    assert [check for check in sorted(checks) if f'"jwtauth.{check}"' not in package] == []
    commands = set(re.findall(r"jwtauth_(?:check|keys|logout|clearsessions|settings|generate_key)", page))
    assert {"jwtauth_check", "jwtauth_keys"} <= commands
    headings = re.findall(r"^## (.+)$", page, re.M)[1:]
    linked = re.findall(r"^\| .* \| \[.+\]\(#([\w-]+)\) \|$", page, re.M)
    assert [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings] == linked
    for entry in page.split("\n## ")[2:-1]:
        assert "**Cause" in entry, entry
        assert "ee it.**" in entry or "how to see it.**" in entry, entry
        assert "**Remedy.**" in entry, entry


def test_the_site_of_the_tutorial_works_as_typed(project):
    project.python("manage.py", "startapp", "notes")
    typed = blocks("tutorial.md")
    assert len(re.findall("^```(?:python|html)$", (GUIDES / "tutorial.md").read_text(), re.M)) == len(typed)
    project.type(typed)
    project.python("manage.py", "makemigrations", "notes")
    said = project.python("manage.py", "test", "--no-color")
    assert said.startswith("Found 5 test(s).\nSystem check identified no issues"), said
    project.run("""
def form(client, path, data=None):
    client.get("/sign-in/")
    token = client.cookies["csrftoken"].value
    return client.post(path, {**(data or {}), "csrfmiddlewaretoken": token})

laptop, phone = (Client(enforce_csrf_checks=True) for _ in range(2))
assert laptop.get("/").url == "/sign-in/?next=/"
assert form(laptop, "/sign-in/", {**CREDENTIALS, "password": "wrong"}).status_code == 200
assert form(laptop, "/sign-in/", {**CREDENTIALS, "remember": "on"}).url == "/"
assert form(phone, "/sign-in/", CREDENTIALS).url == "/"
assert laptop.cookies["refresh_token"]["max-age"] == 86400 and phone.cookies["refresh_token"]["max-age"] == ""
assert b'<form id="new">' in laptop.get("/").content

note = post(laptop, "/api/notes/", {"text": "milk"}, origin="http://testserver").json()
assert phone.get("/api/notes/").json() == [note]
assert Client().get("/api/notes/").status_code == 403
assert laptop.delete(f"/api/notes/{note['id']}/").status_code == 204

page = laptop.get("/devices/").content.decode()
assert page.count("this device") == 1 and page.count("/end/") == 3
other = User.objects.get().jwtauth_sessions.others(laptop.get("/").wsgi_request).get()
assert form(laptop, f"/devices/{other.pk}/end/").url == "/devices/"
assert phone.get("/api/notes/").status_code == 403 and me(laptop) == 200

assert form(phone, "/sign-in/", CREDENTIALS).url == "/"
assert form(laptop, "/devices/others/end/").url == "/devices/"
assert me(phone) == 403 and me(laptop) == 200

assert form(phone, "/sign-in/", CREDENTIALS).url == "/"
assert form(laptop, "/devices/all/end/").url == "/sign-in/"
assert me(phone) == 403 and me(laptop) == 403 and "access_token" not in laptop.cookies
assert form(laptop, "/sign-in/", CREDENTIALS).url == "/"
assert form(laptop, "/sign-out/").url == "/sign-in/" and me(laptop) == 403
""")


def test_the_python_reference_has_every_function_and_view():
    page = (ROOT / "docs/reference/python.md").read_text()
    views = {pattern.callback.view_class.__name__ for pattern in urls.urlpatterns}
    names = {*jwtauth.__all__, *views} - {"JwtAuthentication"}  # an alias
    assert len(names) > 15
    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", page)] == []


def test_read_the_docs_builds_with_what_is_here():
    config = yaml.safe_load((ROOT / ".readthedocs.yaml").read_text())
    assert config["sphinx"] == {"configuration": "docs/conf.py", "fail_on_warning": True}
    assert set(config["build"]["tools"]) == {"python", "rust"}
    requirements, package = config["python"]["install"]
    assert "sphinx-copybutton==" in (ROOT / requirements["requirements"]).read_text()
    assert package == {"method": "pip", "path": "."}
