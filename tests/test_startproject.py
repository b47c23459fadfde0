"""Projects as users make them: ``startproject``, the documented examples pasted in, and requests over HTTP."""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

from tests.databases.servers import free_port
from tests.waiting import PATIENCE, answers, stop, wait_until

ROOT = Path(__file__).parents[1]
README, QUICKSTART, MOBILE = (
    ROOT / name for name in ("README.md", "docs/guides/quickstart.md", "docs/guides/mobile.md")
)
PASSWORD = "correct horse battery"

# --- the text of 0.0.8, completed with what it omits (imports, REST framework in INSTALLED_APPS)

SETTINGS_0_0_8 = """
INSTALLED_APPS = [
    'jwtauth',
    'rest_framework',
    *INSTALLED_APPS,
]

REST_FRAMEWORK = {
    'DEFAULT_AUTHENTICATION_CLASSES': [
        'jwtauth.JWTAuthentication',
        # ...
    ],
    # ...
}

MIDDLEWARE = [
    'jwtauth.middleware.JWTAuthMiddleware',
    *MIDDLEWARE,
]
"""

JWTAUTH_0_0_8 = """
from datetime import timedelta
from types import SimpleNamespace

settings = SimpleNamespace(SECRET_KEY=SECRET_KEY)

JWTAUTH = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=5),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=1),
    "ACCESS_TOKEN_COOKIE_NAME": "access_token",
    "REFRESH_TOKEN_COOKIE_NAME": "refresh_token",
    "ALGORITHM": "HS256",
    "SIGNING_KEY": settings.SECRET_KEY,
}
"""

VIEWS_0_0_8 = """
from rest_framework.decorators import api_view, permission_classes
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.parsers import JSONParser
from rest_framework.response import Response
from rest_framework.views import APIView

from jwtauth import login
from django.contrib.auth import authenticate

@api_view(['POST'])
def login_view(request):
    body = JSONParser().parse(request)

    # use an authentication backend to validate the credentials
    user = authenticate(
        username=body['username'],
        password=body['password']
    )

    if user is None:
        # credentials are not valid
        raise AuthenticationFailed('Invalid username or password.', 403)

    # login the user
    login(request, user)

    return Response(status=204)

from jwtauth import logout

@api_view(['DELETE'])
def logout_view(request):
    # logout the user
    logout(request)

    return Response(status=204)

from rest_framework.permissions import IsAuthenticated

# function view with permission decorator: only accessible to logged users,
# otherwise a 403 Forbidden response is returned
@api_view(['GET'])
@permission_classes([IsAuthenticated])
def logged_view(request):
    user = request.user # logged user
    # ...
    return Response(status=204)

# class view with permission attribute
class LoggedView(APIView):
    permission_classes = [IsAuthenticated]

    def get(self, request):
        user = request.user # logged user
        # ...
        return Response(status=204)

@api_view(['GET'])
def my_view(request):
    if request.user.is_authenticated:
        # do something with the logged user
        return Response({'user': request.user.username})
    # user is not logged in
    return Response({'user': None, 'type': type(request.user).__name__})
"""

URLS_0_0_8 = """
from django.urls import path
from . import views

urlpatterns = [
    path('login/', views.login_view),
    path('logout/', views.logout_view),
    path('logged/', views.logged_view),
    path('class/', views.LoggedView.as_view()),
    path('my/', views.my_view),
]
"""


class Browser:
    """Act as a browser that keeps cookies and sends ``Secure`` cookies over a loopback only."""

    def __init__(self, port):
        self.origin = f"http://127.0.0.1:{port}"
        self.jar = CookieJar()
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self.jar)
        )

    def ask(self, method, path, body=None):
        """Make a request, and return its status and body."""
        data = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        request = urllib.request.Request(self.origin + path, data, headers, method=method)
        try:
            with self.opener.open(request, timeout=PATIENCE) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.status, error.read()

    def status(self, *args):
        return self.ask(*args)[0]

    @property
    def cookies(self):
        return {cookie.name for cookie in self.jar}


def run(directory, *arguments, **environment):
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env={**clean_environment(), **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def clean_environment():
    return {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}


@pytest.fixture
def serve(tmp_path):
    """Create a project from these texts with one user, serve it, and return a browser."""
    servers = []

    def start(name, *, settings, views, urls):
        run(tmp_path, "-m", "django", "startproject", name)
        project = tmp_path / name
        with (project / name / "settings.py").open("a") as file:
            file.write(settings)
        (project / name / "views.py").write_text(views)
        (project / name / "urls.py").write_text(urls)
        run(project, "manage.py", "migrate", "--verbosity", "0")
        run(
            project,
            *("manage.py", "createsuperuser", "--noinput", "--username", "ada", "--email", "ada@example.org"),
            DJANGO_SUPERUSER_PASSWORD=PASSWORD,
        )
        port, log = free_port(), tmp_path / "server.log"
        with log.open("w") as output:
            server = subprocess.Popen(
                [sys.executable, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"],
                cwd=project,
                env={**clean_environment(), "PYTHONUNBUFFERED": "1"},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        servers.append(server)
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/"), server, log)
        assert "System check identified no issues" in log.read_text()
        return Browser(port)

    yield start
    for server in servers:
        stop(server)


@pytest.mark.parametrize("jwtauth", ["", JWTAUTH_0_0_8], ids=["defaults", "its six settings"])
def test_project_written_for_0_0_8_works_as_documented_there(serve, jwtauth):
    browser = serve("mysite", settings=SETTINGS_0_0_8 + jwtauth, views=VIEWS_0_0_8, urls=URLS_0_0_8)
    right = {"username": "ada", "password": PASSWORD}

    for path in ("/logged/", "/class/"):
        status, body = browser.ask("GET", path)
        assert status == 403
        assert json.loads(body) == {"detail": "Authentication credentials were not provided."}
    assert json.loads(browser.ask("GET", "/my/")[1]) == {"user": None, "type": "AnonymousUser"}

    status, body = browser.ask("POST", "/login/", {**right, "password": "wrong"})
    assert status == 403
    assert json.loads(body) == {"detail": "Invalid username or password."}
    assert browser.cookies == set()

    assert browser.ask("POST", "/login/", right) == (204, b"")
    assert browser.cookies == {"access_token", "refresh_token"}
    for path in ("/logged/", "/class/"):
        assert browser.status("GET", path) == 204
    assert json.loads(browser.ask("GET", "/my/")[1]) == {"user": "ada"}

    stolen = list(browser.jar)
    assert browser.ask("DELETE", "/logout/") == (204, b"")
    assert browser.cookies == set()
    assert browser.status("GET", "/logged/") == 403
    for cookie in stolen:
        browser.jar.set_cookie(cookie)
    assert browser.status("GET", "/class/") == 403
    assert browser.status("POST", "/login/", right) == 204
    assert browser.status("GET", "/logged/") == 204


def example(page, name):
    """Return the fenced block that follows the marker of this name."""
    found = re.findall(rf"^<!-- example: {name} -->\n+```\w+\n(.*?)^```$", page.read_text(), re.M | re.S)
    assert len(found) == 1, f"{page.name} has {len(found)} examples named {name}"
    return found[0]


def test_readme_example_works_in_a_new_project(serve):
    browser = serve("mysite", **{name: example(README, name) for name in ("settings", "urls")}, views="")
    right = {"username": "ada", "password": PASSWORD}
    assert f'password: "{PASSWORD}"' in README.read_text()
    assert browser.status("GET", "/auth/me/") == 403
    assert browser.status("POST", "/auth/login/", {**right, "password": "wrong"}) == 401
    assert browser.status("POST", "/auth/login/", right) == 200
    status, body = browser.ask("GET", "/auth/me/")
    assert status == 200
    assert json.loads(body)["user"]["username"] == "ada"
    assert browser.status("POST", "/auth/logout/") == 204
    assert browser.status("GET", "/auth/me/") == 403


def in_a_shell(page, name, browser, folder, **environment):
    """Return the output of each command of this example, which is JSON or empty."""
    port = browser.origin.rpartition(":")[2]
    commands = example(page, name).replace("localhost:8000", f"127.0.0.1:{port}").replace('"secret"', f'"{PASSWORD}"')
    answers = []
    for command in commands.splitlines():
        options = {"cwd": folder, "env": {**os.environ, **environment}, "capture_output": True, "check": True}
        said = subprocess.run(["sh", "-c", command.replace("curl ", "curl -sS --fail ", 1)], **options).stdout
        answers.append(json.loads(said) if said else None)
    return answers


@pytest.mark.skipif(shutil.which("curl") is None, reason="the guides' commands are curl's; .ci/run installs it")
def test_commands_of_the_quickstart_and_the_guide_for_apps_work_as_written(serve, tmp_path):
    assert example(MOBILE, "urls") == example(QUICKSTART, "urls")
    browser = serve("mysite", **{name: example(QUICKSTART, name) for name in ("settings", "urls")}, views="")

    signed_in, me, signed_out = in_a_shell(QUICKSTART, "curl", browser, tmp_path)
    assert signed_in["user"]["username"] == me["user"]["username"] == "ada"
    assert signed_out is None
    # This curl keeps one of the two cleared cookies in its jar. It does not sign a user in.
    status = ["curl", "-sS", "-b", "jar", "-o", "/dev/null", "-w", "%{http_code}", f"{browser.origin}/auth/me/"]
    assert subprocess.run(status, cwd=tmp_path, capture_output=True, check=True).stdout == b"403"

    (pair,) = in_a_shell(MOBILE, "token", browser, tmp_path)
    tokens = {"ACCESS": pair["access"], "REFRESH": pair["refresh"]}
    me, renewed, revoked = in_a_shell(MOBILE, "curl", browser, tmp_path, **tokens)
    assert me["user"]["username"] == "ada"
    # The expiry of the same token, counted from each response.
    assert 0 <= pair["refresh_expires_in"] - renewed["refresh_expires_in"] < 60
    assert revoked == {}
    with pytest.raises(subprocess.CalledProcessError):
        in_a_shell(MOBILE, "curl", browser, tmp_path, **tokens)


SETTINGS_WITH_AXES = """
INSTALLED_APPS += ["rest_framework", "jwtauth", "axes"]
MIDDLEWARE += ["jwtauth.middleware.JWTAuthMiddleware", "axes.middleware.AxesMiddleware"]
REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ["jwtauth.JWTAuthentication"]}
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_FAILURE_LIMIT = 3
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
"""
OUR_URLS = """
from django.urls import include, path

urlpatterns = [path("auth/", include("jwtauth.urls"))]
"""


@pytest.mark.parametrize("view", ["login", "token"])
def test_django_axes_locks_out_a_client_that_guesses_passwords(serve, view):
    browser = serve("mysite", settings=SETTINGS_WITH_AXES, views="", urls=OUR_URLS)
    right, wrong = ({"username": "ada", "password": password} for password in (PASSWORD, "wrong"))
    # One success is counted, and the failures.
    statuses = [browser.status("POST", f"/auth/{view}/", sent) for sent in (wrong, wrong, right, wrong, wrong)]
    assert statuses == [401, 401, 200, 401, 401]
    assert browser.status("POST", f"/auth/{view}/", wrong) == 429
    assert browser.status("POST", f"/auth/{view}/", right) == 429
    assert browser.status("POST", f"/auth/{view}/", {**wrong, "username": "bob"}) == 401
