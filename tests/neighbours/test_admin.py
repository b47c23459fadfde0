"""The admin page of a user beside packages that add tools to it."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Prints, for each admin site, whether the page of a user has the link to sessions and the other package's link.
SOURCE = """
import json

import django
from django.conf import settings

from tests import settings as of_tests

values = {name: getattr(of_tests, name) for name in dir(of_tests) if name.isupper()}
values["INSTALLED_APPS"] = [*values["INSTALLED_APPS"], "guardian", "hijack", "hijack.contrib.admin"]
values["MIDDLEWARE"] = [*values["MIDDLEWARE"], "hijack.middleware.HijackUserMiddleware"]
backends = ["django.contrib.auth.backends.ModelBackend", "guardian.backends.ObjectPermissionBackend"]
settings.configure(**{**values, "AUTHENTICATION_BACKENDS": backends, "ROOT_URLCONF": "__main__"})
django.setup()

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import UserAdmin
from django.core.management import call_command
from django.test import Client
from django.urls import include, path
from guardian.admin import GuardedModelAdmin

from jwtauth.admin import SessionAdmin, SessionsLinkMixin
from jwtauth.models import Session
from jwtauth.test import force_login


class Guarded(GuardedModelAdmin, UserAdmin):
    pass


class Linked(SessionsLinkMixin, Guarded):
    pass


User = get_user_model()
sites = {"admin": admin.site, "guarded": admin.AdminSite("guarded"), "linked": admin.AdminSite("linked")}
for name, model_admin in {"guarded": Guarded, "linked": Linked}.items():
    sites[name].register(User, model_admin)
    sites[name].register(Session, SessionAdmin)
urlpatterns = [path("hijack/", include("hijack.urls")), *(path(f"{name}/", site.urls) for name, site in sites.items())]

call_command("migrate", verbosity=0, run_syncdb=True)
chief, ada = User.objects.create_superuser("chief"), User.objects.create_user("ada")
client = Client()
client.force_login(chief)
force_login(Client(), ada)
found = {}
for name in sites:
    page = client.get(f"/{name}/auth/user/{ada.pk}/change/").content.decode()
    found[name] = [f"/{name}/jwtauth/session/?user__id__exact={ada.pk}" in page, f"{ada.pk}/permissions/" in page]
page = client.get("/admin/auth/user/").content.decode()
found["hijack"] = ["hijack" in page]
ended = client.post(f"/guarded/auth/user/{ada.pk}/delete/", {"post": "yes"})
found["deleted"] = [ended.status_code == 302, not Session.objects.exists()]
print(json.dumps(found))
"""


def test_the_link_to_sessions_appears_beside_the_tools_of_other_packages():
    command = [sys.executable, "-c", SOURCE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "admin": [True, False],
        "guarded": [True, True],
        "linked": [True, True],
        "hijack": [True],
        "deleted": [True, True],
    }
