"""docs/guides/notices-and-audit.md does what it says, typed literally into a new project."""

import re

import pytest

from tests.test_guides import GUIDES, QUICKSTART, project  # noqa: F401
from tests.test_startproject import PASSWORD, example

PAGE = GUIDES / "notices-and-audit.md"
FILES = re.compile(r"^<!-- example: (audit/\S+) -->\n+```python\n(.*?)^```$", re.M | re.S)

PREPARE = """
from django.contrib.auth.models import User
from django.core import mail
from django.test import Client
from audit.models import Entry
from jwtauth.models import Session

FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:144.0) Gecko/20100101 Firefox/144.0"
CHROME = "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Mobile Safari/537.36"
mail.outbox = []

def browser(header, address="203.0.113.9"):
    return Client(headers={"user-agent": header}, REMOTE_ADDR=address)

def log_in(client, password=password, username="ada"):
    data = {"username": username, "password": password}
    return client.post("/auth/login/", data, content_type="application/json").status_code

def entries():
    names = ("event", "reason", "user__username", "by__username", "device", "ip_address")
    return [list(row) for row in Entry.objects.order_by("pk").values_list(*names)]
"""


@pytest.fixture
def audited(project):  # noqa: F811
    """Return a project with the app of the guide."""
    files = dict(FILES.findall(PAGE.read_text()))
    assert len(files) == 6
    for name in ("audit/__init__.py", "audit/management/__init__.py", "audit/management/commands/__init__.py"):
        project.folder.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        project.write(name, "")
    for name, text in files.items():
        project.write(name, text)
    apps = files["audit/apps.py"].replace("import receivers", "import notices, receivers")
    project.write("audit/apps.py", apps)
    urls = example(QUICKSTART, "urls")
    admin = 'from django.contrib import admin\nurlpatterns.append(path("admin/", admin.site.urls))\n'
    project.write("mysite/urls.py", urls + admin)
    project.append('INSTALLED_APPS += ["audit"]\n')
    project.append('EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"\n')
    project.append('MIDDLEWARE += ["django.middleware.locale.LocaleMiddleware"]\n')
    project.manage("makemigrations", "audit", "--verbosity", "0")
    project.prepare()
    return project


def test_the_table_of_events_has_who_when_why_by_whom_and_which_device(audited):
    code = """
from django.utils.timezone import now
began = now()
ada, admin = browser(FIREFOX), browser(CHROME, "203.0.113.10")
User.objects.create_superuser("root", password=password)
said.append([log_in(ada), log_in(ada, "wrong"), log_in(ada, "wrong", "my secret password")])
log_in(admin, username="root")
session = Session.objects.get(user__username="ada").pk
admin.post(f"/admin/jwtauth/session/{session}/delete/", {"post": "yes"})
log_in(ada)
ada.post("/auth/logout/")
log_in(ada)
Session.objects.of(User.objects.get(username="ada")).end("closed")
said.append(entries())
said.append("secret" in str(list(Entry.objects.values())))
said.append(all(began <= entry.at <= now() for entry in Entry.objects.all()))
said.append(Entry.objects.filter(session_id=session).count())
"""
    answers, entries, has_secret, have_times, of_session = audited.shell(PREPARE + code, password=PASSWORD)
    here, there = ["Firefox on Windows", "203.0.113.9"], ["Chrome on Android", "203.0.113.10"]
    if any("Mobile" in str(entry) for entry in entries):
        there[0] = "Chrome Mobile on Android"
    assert answers == [200, 401, 401]
    assert entries == [
        ["session_started", "", "ada", "ada", *here],
        ["login_failed", "", "ada", None, *here],
        ["login_failed", "", None, None, *here],
        ["session_started", "", "root", "root", *there],
        ["session_ended", "revoked", "ada", "root", *there],
        ["session_started", "", "ada", "ada", *here],
        ["session_ended", "logout", "ada", "ada", *here],
        ["session_started", "", "ada", "ada", *here],
        ["session_ended", "closed", "ada", None, "", None],
    ]
    assert (has_secret, have_times, of_session) == (False, True, 2)


def test_a_copied_token_is_recorded_with_the_device_that_brought_it(audited):
    audited.append('JWTAUTH = {"REFRESH_TOKEN_GRACE_PERIOD": 0}\n')
    code = """
from jwtauth.test import stopped_clock
ada, thief = browser(FIREFOX), browser(CHROME, "198.51.100.7")
with stopped_clock() as clock:
    log_in(ada)
    thief.cookies["refresh_token"] = ada.cookies["refresh_token"].value
    clock.advance(301)
    ada.get("/auth/me/")
    ada.get("/auth/me/")
    clock.advance(60)
    thief.get("/auth/me/")
said.extend(entries())
"""
    _started, ended, reused = audited.shell(PREPARE + code, password=PASSWORD)
    assert (ended[:4], ended[5]) == (["session_ended", "reused", "ada", None], "198.51.100.7")
    assert (reused[:4], reused[5]) == (["refresh_token_reused", "", "ada", None], "198.51.100.7")
    assert "Chrome" in reused[4]


def test_a_mail_tells_the_user_about_a_new_device_only(audited):
    code = """
from django.db import connection
from django.test.utils import CaptureQueriesContext

def mails(client, **headers):
    before = len(mail.outbox)
    client.defaults.update(headers)
    log_in(client)
    return len(mail.outbox) - before

first = browser(FIREFOX)
said.append([mails(first), mails(browser(FIREFOX, "203.0.113.77"), HTTP_ACCEPT_LANGUAGE="de")])
first.post("/auth/logout/")
Session.objects.all().end()
said.append(mails(browser(FIREFOX)))
other = browser(CHROME, "198.51.100.7")
said.append([mails(other), mails(other), mails(browser(FIREFOX))])
(sent,) = mail.outbox
said.append([sent.to, sent.subject, sent.body])

from audit.notices import tell_user
facts = {"request": other.get("/auth/me/").wsgi_request, "user": User.objects.get(), "session": Session.objects.last()}
with CaptureQueriesContext(connection) as captured:
    tell_user(**facts)
said.append(sum("audit_entry" in query["sql"] for query in captured))
"""
    same, again, changed, sent, queries = audited.shell(PREPARE + code, password=PASSWORD)
    assert (same, again, changed, queries) == ([0, 0], 0, [1, 0, 0], 1)
    to, subject, body = sent
    assert (to, subject) == (["ada@example.com"], "New login to your account")
    assert re.match(r"Chrome( Mobile)? on Android, from 198\.51\.100\.7, \d\d \w+ \d{4} at \d\d:\d\d UTC\n", body)


def test_entries_are_removed_exported_and_erased(audited):
    code = """
from datetime import timedelta
from django.core.management import call_command
from django.db import transaction
from audit.privacy import erase, export
from jwtauth.models import OldLogin

root = User.objects.create_superuser("root", password=password)
log_in(browser(FIREFOX))
log_in(browser(CHROME), username="root")
ada = User.objects.get(username="ada")
own = export(ada)
said.append({name: len(rows) for name, rows in own.items()})
said.append([own["sessions"][0]["user_agent"] == FIREFOX, own["events"][0]["ip_address"]])
Entry.objects.create(event="session_ended", user=root, by=ada, device="Firefox on Windows", ip_address="203.0.113.9")
with transaction.atomic():
    erase(ada)
    ada.delete()
said.append(entries())
said.append(Session.objects.count())

Entry.objects.update(at=Entry.objects.first().at - timedelta(days=91))
log_in(browser(CHROME), username="root")
call_command("remove_entries")
said.append(Entry.objects.count())
"""
    counts, exported, left, sessions, kept = audited.shell(PREPARE + code, password=PASSWORD)
    assert counts == {"sessions": 1, "logins of other packages": 0, "events": 1}
    assert exported == [True, "203.0.113.9"]
    assert [entry[:4] for entry in left] == [
        ["session_started", "", "root", "root"],
        ["session_ended", "", "root", None],
    ]
    assert left[1][4:] == ["", None]
    assert (sessions, kept) == (1, 1)


def test_a_site_that_stores_less_stores_less_in_its_own_table(audited):
    (settings,) = re.findall(r"^```python\n(JWTAUTH = .*?)^```", PAGE.read_text(), re.M | re.S)
    code = """
from django.test import override_settings
log_in(browser(FIREFOX))
with override_settings(JWTAUTH=less):
    log_in(browser(FIREFOX))
said.extend([row.device, row.ip_address] for row in Entry.objects.order_by("pk"))
exec(emptied)
said.append(list(map(list, Session.objects.values_list("user_agent", "ip_address"))))
"""
    less = {}
    exec(settings, less)
    names = {"less": less["JWTAUTH"], "emptied": example(PAGE, "store less"), "password": PASSWORD}
    assert audited.shell(PREPARE + code, **names) == [
        ["Firefox on Windows", "203.0.113.9"],
        ["Firefox on Windows", "203.0.113.0"],
        [["", None]] * 2,
    ]
