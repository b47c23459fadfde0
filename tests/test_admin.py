"""Sessions in the admin: they can be found, viewed and ended, but not edited. No secret is shown."""

import re
import uuid
from pathlib import Path

import pytest
from django.contrib import admin as django_admin
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.admin.utils import get_deleted_objects
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import resolve

import jwtauth
from jwtauth.internal.store import clock as _clock
from jwtauth.models import Session
from jwtauth.test import force_login
from tests import admin_sites
from tests.conftest import only_session

pytestmark = pytest.mark.django_db

LIST = "/admin/jwtauth/session/"


@pytest.fixture
def root(db):
    return get_user_model().objects.create_superuser("root", password="root")


@pytest.fixture
def admin(root):
    client = Client()
    client.force_login(root)
    return client


def test_sessions_are_listed_with_user_and_device(admin, browser, ada):
    browser.sign_in(ada, HTTP_USER_AGENT="curl/8.0")
    page = admin.get(LIST).content.decode()
    assert "ada" in page
    assert "curl" in page
    assert str(only_session().pk) in page


def test_admin_shows_no_secret_of_a_session(admin, browser, ada):
    browser.sign_in(ada)
    session = only_session()
    pages = [admin.get(url).content.decode() for url in (LIST, f"{LIST}{session.pk}/change/")]
    secrets = [session.auth_hash, *(part for token in browser.tokens().values() for part in token.split(".")[1:])]
    assert not any(secret in page for page in pages for secret in secrets)


def test_sessions_cannot_be_added_or_edited_in_the_admin(admin, browser, ada):
    browser.sign_in(ada)
    session = only_session()
    assert admin.get(f"{LIST}add/").status_code == 403
    assert admin.post(f"{LIST}{session.pk}/change/", {"ip_address": "203.0.113.9"}).status_code == 403
    page = admin.get(f"{LIST}{session.pk}/change/").content.decode()
    assert "_save" not in page


@pytest.mark.parametrize(("query", "found"), [("ad", 1), ("bob", 1), ("127.0.0.1", 2), ("127", 0), ("nobody", 0)])
def test_sessions_are_searched_by_username_or_address(admin, browser, other_browser, ada, bob, query, found):
    browser.sign_in(ada)
    other_browser.sign_in(bob)
    response = admin.get(LIST, {"q": query})
    assert response.context["cl"].result_count == found


@pytest.mark.parametrize(("state", "found"), [("live", 1), ("expired", 1), ("", 2)])
def test_sessions_are_filtered_by_live_and_expired(admin, browser, other_browser, ada, bob, state, found):
    browser.sign_in(ada)
    other_browser.sign_in(bob)
    Session.objects.of(bob).update(expires_at=_clock.to_datetime(1000))
    assert admin.get(LIST, {"state": state} if state else {}).context["cl"].result_count == found


def test_admin_action_ends_the_selected_sessions(admin, browser, other_browser, ada):
    browser.sign_in(ada)
    first = only_session()
    other_browser.sign_in(ada)
    response = admin.post(LIST, {"action": "end_sessions", "_selected_action": [str(first.pk)]}, follow=True)
    assert "1 session was ended." in response.content.decode()
    assert browser.who() is None
    assert other_browser.who() == "ada"


def test_session_deleted_in_the_admin_ends_within_the_check_interval(admin, browser, ada, settings):
    settings.JWTAUTH = {"SESSION_CHECK_INTERVAL": 3600}
    browser.sign_in(ada)
    assert browser.who() == "ada"
    admin.post(f"{LIST}{only_session().pk}/delete/", {"post": "yes"})
    assert browser.who() is None


def test_staff_without_the_delete_permission_cannot_end_sessions(browser, ada, root):
    browser.sign_in(ada)
    looker = get_user_model().objects.create_user("looker", is_staff=True)
    looker.user_permissions.add(Permission.objects.get(codename="view_session", content_type__app_label="jwtauth"))
    client = Client()
    client.force_login(looker)
    assert client.get(LIST).status_code == 200
    client.post(LIST, {"action": "end_sessions", "_selected_action": [str(only_session().pk)]})
    assert browser.who() == "ada"


def test_list_of_many_sessions_is_at_most_five_queries(admin, ada, django_assert_max_num_queries):
    now = _clock.to_datetime(_clock.now())
    times = dict.fromkeys(("rotated_at", "created_at", "expires_at", "last_seen_at"), now)
    Session.objects.bulk_create(
        Session(id=uuid.uuid4(), user=ada, generation=1, remember=True, **times) for _ in range(300)
    )
    with django_assert_max_num_queries(5):
        assert admin.get(LIST).status_code == 200


def test_sessions_ended_in_the_admin_are_in_the_admin_log(admin, root, browser, other_browser, ada):
    browser.sign_in(ada)
    first = only_session()
    admin.post(LIST, {"action": "end_sessions", "_selected_action": [str(first.pk)]})
    other_browser.sign_in(ada)
    second = only_session()
    assert admin.post(f"{LIST}{second.pk}/delete/", {"post": "yes"}).status_code == 302
    entries = LogEntry.objects.filter(user=root, action_flag=DELETION)
    assert {entry.object_id for entry in entries} == {str(first.pk), str(second.pk)}


def test_session_has_a_history_page(admin, browser, ada):
    browser.sign_in(ada)
    assert admin.get(f"{LIST}{only_session().pk}/history/").status_code == 200


# --- secret columns


@pytest.mark.parametrize(
    "lookup",
    [
        "auth_hash",
        "auth_hash__startswith",
        "auth_hash__regex",
        "user__password__startswith",
        "user__jwtauth_sessions__auth_hash__startswith",
        "auth_hash__no_such_lookup",
    ],
)
def test_list_of_sessions_cannot_be_filtered_by_a_secret(admin, browser, ada, lookup):
    browser.sign_in(ada)
    assert admin.get(LIST, {lookup: "a"}).status_code == 400


@pytest.mark.parametrize("lookup", ["jwtauth_sessions__auth_hash", "jwtauth_sessions__auth_hash__startswith"])
def test_list_of_users_cannot_be_filtered_by_a_secret_of_sessions(admin, browser, ada, lookup):
    browser.sign_in(ada)
    assert admin.get("/admin/auth/user/", {lookup: "a"}).status_code == 400


@pytest.mark.parametrize("lookup", ["user__id__exact", "user", "user__pk"])
def test_list_of_sessions_can_be_filtered_by_user(admin, browser, other_browser, ada, bob, lookup):
    browser.sign_in(ada)
    other_browser.sign_in(bob)
    assert admin.get(LIST, {lookup: ada.pk}).context["cl"].result_count == 1


def test_search_of_sessions_does_not_match_the_session_hash(admin, browser, ada):
    browser.sign_in(ada)
    assert admin.get(LIST, {"q": only_session().auth_hash}).context["cl"].result_count == 0


# --- the page of a user


@pytest.fixture
def sites(settings):
    """Serve the admin sites of `tests.admin_sites`, with templates as other packages might have."""
    settings.ROOT_URLCONF = "tests.admin_sites"
    tools = "{% block object-tools-items %}<li>TOOL</li>{{ block.super }}{% endblock %}"
    templates_of_others = {
        "another/change_form.html": '{% extends "admin/change_form.html" %}' + tools.replace("TOOL", "OF-MIXIN"),
        "admin/auth/user/change_form.html": '{% extends "admin/change_form.html" %}' + tools.replace("TOOL", "OF-PAGE"),
        "admin/auth/user/change_form_object_tools.html": '{% extends "admin/change_form_object_tools.html" %}'
        + tools.replace("TOOL", "OF-TOOLS"),
    }
    (engine,) = settings.TEMPLATES
    loaders = [
        ("django.template.loaders.locmem.Loader", templates_of_others),
        "django.template.loaders.app_directories.Loader",
    ]
    options = {**engine["OPTIONS"], "loaders": loaders}
    settings.TEMPLATES = [{**engine, "APP_DIRS": False, "OPTIONS": options}]


@pytest.fixture
def page_of(admin, ada):
    """Return a function that gets ada's change page on an admin site; ada has a session."""
    force_login(Client(), ada)

    def page(path):
        response = admin.get(f"{path}auth/user/{ada.pk}/change/")
        assert response.status_code == 200
        return response.content.decode()

    return page


def links_of(page):
    return re.findall(r'href="([^"]*/jwtauth/session/[^"]*)"', page.split('id="content"')[1])


def test_change_page_of_a_user_links_to_their_sessions(admin, page_of, ada, bob):
    force_login(Client(), bob)
    (link,) = links_of(page_of("/admin/"))
    assert link == f"{LIST}?user__id__exact={ada.pk}"
    assert admin.get(link).context["cl"].result_count == 1


def test_package_has_no_templates_outside_its_own_folder():
    templates = Path(jwtauth.__file__).parent / "templates"
    assert [path.name for path in templates.iterdir()] == ["jwtauth"]


@pytest.mark.parametrize("site", ["both", "template", "mixin"])
def test_change_page_links_to_sessions_on_every_admin_site_with_users_and_sessions(sites, admin, page_of, site):
    (link,) = links_of(page_of(f"/{site}/"))
    assert link.startswith(f"/{site}/jwtauth/session/?user__id__exact=")
    assert admin.get(link).context["cl"].result_count == 1


def test_change_page_has_no_link_on_an_admin_site_without_sessions(sites, page_of):
    assert links_of(page_of("/users/")) == []


def test_change_page_has_no_link_if_sessions_are_unregistered(page_of):
    session_admin = django_admin.site.get_model_admin(Session)
    django_admin.site.unregister(Session)
    try:
        assert links_of(page_of("/admin/")) == []
    finally:
        django_admin.site.register(Session, type(session_admin))


@pytest.mark.parametrize(
    ("site", "tools"),
    [
        ("users", ["OF-PAGE", "OF-TOOLS"]),
        ("both", ["OF-PAGE", "OF-TOOLS"]),
        ("template", ["OF-MIXIN", "OF-TOOLS"]),
        ("mixin", ["OF-MIXIN", "OF-TOOLS"]),
    ],
)
def test_change_page_keeps_the_templates_of_other_packages(sites, page_of, site, tools):
    assert re.findall("OF-[A-Z]+", page_of(f"/{site}/")) == tools


def test_change_page_has_no_link_for_staff_who_may_not_view_sessions(sites, ada):
    force_login(Client(), ada)
    client = staff("view_user")
    assert links_of(client.get(f"/both/auth/user/{ada.pk}/change/").content.decode()) == []
    client = staff("view_user", "view_session")
    assert len(links_of(client.get(f"/both/auth/user/{ada.pk}/change/").content.decode())) == 1


def test_add_page_of_users_has_no_link_to_sessions(sites, admin):
    page = admin.get("/template/auth/user/add/").content.decode()
    assert links_of(page) == []


# --- deleting users


def staff(*permissions):
    """Return a client of a new staff user with these permissions."""
    user = get_user_model().objects.create_user(f"staff {'-'.join(permissions)}", is_staff=True)
    apps = ["auth", "jwtauth"]
    found = Permission.objects.filter(codename__in=permissions, content_type__app_label__in=apps)
    assert found.count() == len(permissions)
    user.user_permissions.set(found)
    client = Client()
    client.force_login(user)
    return client


CLERK = ("view_user", "delete_user")
WAYS = {
    "page": lambda client, path, user: client.post(f"{path}auth/user/{user.pk}/delete/", {"post": "yes"}),
    "action": lambda client, path, user: client.post(
        f"{path}auth/user/", {"action": "delete_selected", "_selected_action": [str(user.pk)], "post": "yes"}
    ),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("path", ["/admin/", "/both/", "/users/", "/template/"])
def test_deleting_a_user_needs_only_the_permission_to_delete_users(sites, ada, path, way):
    force_login(Client(), ada)
    assert way(staff(*CLERK), path, ada).status_code == 302
    assert not get_user_model().objects.filter(pk=ada.pk).exists()
    assert not Session.objects.exists()


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_deleting_a_user_is_refused_without_the_permission_to_delete_users(sites, ada, way):
    force_login(Client(), ada)
    way(staff("view_user", "delete_session"), "/both/", ada)
    assert get_user_model().objects.filter(pk=ada.pk).exists()
    assert Session.objects.exists()


@pytest.mark.parametrize("permissions", [CLERK, (*CLERK, "view_session")])
@pytest.mark.parametrize("path", ["/both/", "/sessions/"])
def test_ending_a_session_needs_the_permission_to_delete_sessions(sites, ada, permissions, path):
    force_login(Client(), ada)
    key = only_session().pk
    client, url = staff(*permissions), f"{path}jwtauth/session/"
    assert client.post(f"{url}{key}/delete/", {"post": "yes"}).status_code == 403
    client.post(url, {"action": "end_sessions", "_selected_action": [str(key)]})
    client.post(url, {"action": "delete_selected", "_selected_action": [str(key)], "post": "yes"})
    assert only_session().pk == key
    if "view_session" in permissions:
        assert f"{key}/delete/" not in client.get(f"{url}{key}/change/").content.decode()
    client = staff("view_session", "delete_session")
    assert client.post(f"{url}{key}/delete/", {"post": "yes"}).status_code == 302
    assert not Session.objects.exists()


def test_deleting_unregistered_users_needs_no_permission_for_their_sessions(sites, rf, ada):
    # Without users on the site Django requires no permission to delete them, so none for their sessions either.
    force_login(Client(), ada)
    request = rf.get("/")
    request.user = get_user_model().objects.create_user("clerk", is_staff=True)
    for address, missing in [("/sessions/auth/group/", set()), ("/sessions/jwtauth/session/", {"session"})]:
        request.resolver_match = resolve(address)
        assert get_deleted_objects([ada], request, admin_sites.sessions)[2] == missing
    request.resolver_match = None
    assert get_deleted_objects([ada], request, admin_sites.sessions)[2] == {"session"}
