"""Django's session, and logins with Django's own functions, together with jwtauth's."""

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import SESSION_KEY, get_user_model
from django.contrib.auth import login as django_login
from django.contrib.auth import logout as django_logout
from django.contrib.auth import update_session_auth_hash as django_update
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.auth.tokens import default_token_generator
from django.contrib.auth.views import PasswordChangeView, PasswordResetConfirmView
from django.contrib.sessions.models import Session as DjangoSession
from django.db import transaction
from django.http import HttpResponse, JsonResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import include, path
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from rest_framework.decorators import api_view
from rest_framework.exceptions import ValidationError

import jwtauth
from jwtauth.internal.flow import Flow
from jwtauth.models import Session
from tests.conftest import ACCESS_LIFETIME, Browser
from tests.urls import urlpatterns as project_urls

BACKEND = "django.contrib.auth.backends.ModelBackend"

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls(__name__)]


# As 0.0.8 documents it.
ABOVE_DJANGO = [
    "jwtauth.middleware.JWTAuthMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]


def user_named(request):
    return get_user_model().objects.get(username=request.GET["user"])


def sign_in(request):
    jwtauth.login(request, user_named(request))
    return HttpResponse(str(request.user))


def sign_in_with_backend(request):
    jwtauth.login(request, user_named(request), BACKEND)
    return HttpResponse(str(request.user))


def sign_out(request):
    jwtauth.logout(request)
    return HttpResponse(str(request.user))


def sign_in_by_django(request):
    django_login(request, user_named(request), backend=BACKEND)
    return HttpResponse(str(request.user))


async def sign_in_by_django_async(request):
    from django.contrib.auth import alogin

    user = await get_user_model().objects.aget(username=request.GET["user"])
    await alogin(request, user, backend=BACKEND)
    return HttpResponse(str(await request.auser()))


def sign_out_by_django(request):
    django_logout(request)
    return HttpResponse(str(request.user))


def cart(request):
    """Return the content of the session's cart; ?put= sets it."""
    if "put" in request.GET:
        request.session["cart"] = request.GET["put"]
    return JsonResponse({"cart": request.session.get("cart"), "user": str(request.user)})


@api_view(["POST"])
def refused_after_login(request):
    """Sign in, and roll the login back by an error of a DRF view under ATOMIC_REQUESTS."""
    with transaction.atomic():
        jwtauth.login(request, user_named(request))
        transaction.set_rollback(True)
    raise ValidationError("no")


def rolled_back_logout(request):
    with transaction.atomic():
        jwtauth.logout(request)
        transaction.set_rollback(True)
    return HttpResponse()


def rolled_back_sign_in_by_django(request):
    """Sign in with Django; with ?and-jwtauth, a receiver or the view signs in with jwtauth too. Then roll back."""
    with transaction.atomic():
        django_login(request, user_named(request), backend=BACKEND)
        if "and-jwtauth" in request.GET:
            jwtauth.login(request, user_named(request))
        transaction.set_rollback(True)
    return HttpResponse(status=500)


def logout_and_login_rolled_back(request):
    with transaction.atomic():
        jwtauth.logout(request)
        jwtauth.login(request, user_named(request))
        transaction.set_rollback(True)
    return HttpResponse()


def change_password_by_django(request):
    user = get_user_model().objects.get(pk=request.user.pk)
    user.set_password("another password")
    user.save()
    django_update(request, user)
    return HttpResponse()


def change_another_users_password(request):
    user = user_named(request)
    user.set_password("another password")
    user.save()
    django_update(request, user)
    return HttpResponse()


async def mark(request):
    """Mark the session as modified, without loading it."""
    request.session.modified = True
    return HttpResponse()


urlpatterns = [
    path("in/", sign_in),
    path("mark/", mark),
    path("in/backend/", sign_in_with_backend),
    path("out/", sign_out),
    path("django/in/", sign_in_by_django),
    path("django/in/async/", sign_in_by_django_async),
    path("django/out/", sign_out_by_django),
    path("cart/", cart),
    path("refused/", refused_after_login),
    path("rolled-back/", rolled_back_logout),
    path("django/in/rolled-back/", rolled_back_sign_in_by_django),
    path("out-and-in-rolled-back/", logout_and_login_rolled_back),
    path("password/by-django/", change_password_by_django),
    path("password/other/", change_another_users_password),
    path("password/view/", PasswordChangeView.as_view(success_url="/cart/")),
    path(
        "reset/<uidb64>/<token>/",
        PasswordResetConfirmView.as_view(
            post_reset_login=True,
            post_reset_login_backend=BACKEND,
            success_url="/cart/",
            template_name="admin/login.html",
        ),
    ),
    path("", include(project_urls)),
]


@pytest.fixture
def browser():
    return Client()


@pytest.fixture
def receivers():
    """Connect receivers to signals for one test."""
    connected = []

    def connect(signal, receiver):
        signal.connect(receiver, weak=False)
        connected.append((signal, receiver))

    yield connect
    for signal, receiver in connected:
        signal.disconnect(receiver)


def state(browser):
    return browser.get("/cart/").json()


def session_key(browser):
    return browser.cookies["sessionid"].value if "sessionid" in browser.cookies else None


# --- data and keys of Django's session

ENDS = {
    "jwtauth's logout": lambda browser, clock: browser.post("/out/"),
    "Django's logout": lambda browser, clock: browser.post("/django/out/"),
    "the logout view": lambda browser, clock: browser.post("/auth/logout/"),
    "a login over it": lambda browser, clock: None,
    "its session's end": lambda browser, clock: clock.advance(400 * 86_400),
    "a revocation": lambda browser, clock: Session.objects.end(),
    "cookies that are gone": lambda browser, clock: [browser.cookies.pop(n) for n in ("access_token", "refresh_token")],
    "a logout in a rollback": lambda browser, clock: browser.post("/rolled-back/"),
}


@pytest.mark.parametrize("next_login", ["/in/", "/django/in/", "/django/in/async/"])
@pytest.mark.parametrize("end", ENDS)
def test_next_user_does_not_see_session_data_of_the_user_before(browser, ada, bob, clock, end, next_login):
    browser.get("/in/?user=ada")
    browser.get("/cart/?put=of+ada")
    assert state(browser) == {"cart": "of ada", "user": "ada"}
    ENDS[end](browser, clock)
    assert browser.get(f"{next_login}?user=bob").status_code == 200
    assert state(browser) == {"cart": None, "user": "bob"}


@override_settings(MIDDLEWARE=ABOVE_DJANGO)
@pytest.mark.parametrize("end", ENDS)
def test_next_user_does_not_see_session_data_with_jwtauth_s_middleware_first(browser, ada, bob, clock, end):
    test_next_user_does_not_see_session_data_of_the_user_before(browser, ada, bob, clock, end, "/in/")


@pytest.mark.parametrize("end", ["jwtauth's logout", "Django's logout", "the logout view", "a logout in a rollback"])
def test_logout_flushes_django_s_session(browser, ada, clock, end):
    browser.get("/in/?user=ada")
    browser.get("/cart/?put=of+ada")
    ENDS[end](browser, clock)
    assert state(browser) == {"cart": None, "user": "AnonymousUser"}
    assert not DjangoSession.objects.exists()


def test_async_views_may_mark_django_s_session_without_loading_it(browser, ada):
    browser.get("/in/?user=ada")
    browser.get("/cart/?put=something")
    client = AsyncClient()
    client.cookies = browser.cookies
    assert async_to_sync(client.get)("/mark/").status_code == 200
    assert state(browser) == {"cart": "something", "user": "ada"}


@pytest.mark.parametrize("url", ["/in/", "/django/in/"])
def test_a_login_keeps_an_anonymous_cart_under_another_key(browser, ada, url):
    browser.get("/cart/?put=anonymous")
    planted = session_key(browser)
    browser.get(f"{url}?user=ada")
    assert session_key(browser) not in (None, planted)
    assert state(browser) == {"cart": "anonymous", "user": "ada"}
    assert not DjangoSession.objects.filter(pk=planted).exists()


def test_second_login_of_the_same_user_keeps_the_session_data(browser, ada, clock):
    browser.get("/in/?user=ada")
    browser.get("/cart/?put=of+ada")
    clock.advance(400 * 86_400)
    browser.get("/in/?user=ada")
    assert state(browser) == {"cart": "of ada", "user": "ada"}


def test_logins_and_logouts_create_no_django_session(browser, ada):
    browser.get("/in/?user=ada")
    browser.get("/me/plain/")
    browser.post("/out/")
    browser.get("/in/?user=ada")
    assert "sessionid" not in browser.cookies
    assert not DjangoSession.objects.exists()


def test_deleted_django_session_is_not_created_again(browser, ada):
    browser.cookies["sessionid"] = "a" * 32
    browser.get("/in/?user=ada")
    browser.post("/out/")
    assert not DjangoSession.objects.exists()


@pytest.mark.parametrize("middleware", [["jwtauth.middleware.JWTAuthMiddleware"]])
def test_sites_without_django_s_sessions_sign_in_and_out(browser, ada, middleware):
    with override_settings(MIDDLEWARE=middleware):
        browser = Client()
        assert browser.get("/in/?user=ada").content == b"ada"
        assert browser.post("/out/").content == b"AnonymousUser"


@pytest.mark.parametrize("engine", ["cache", "cached_db", "signed_cookies", "db"])
def test_every_session_engine_separates_users(ada, bob, engine, settings):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.SESSION_SERIALIZER = "django.contrib.sessions.serializers.JSONSerializer"
    browser = Client()
    browser.get("/in/?user=ada")
    browser.get("/cart/?put=of+ada")
    browser.get("/in/?user=bob")
    assert state(browser) == {"cart": None, "user": "bob"}
    browser.get("/cart/?put=of+bob")
    browser.post("/out/")
    assert state(browser) == {"cart": None, "user": "AnonymousUser"}


def test_login_ends_another_user_s_login_with_django(browser, ada, bob):
    browser.get("/django/in/?user=bob")
    browser.get("/cart/?put=of+bob")
    browser.get("/in/?user=ada")
    assert state(browser) == {"cart": None, "user": "ada"}
    browser.post("/out/")
    assert state(browser)["user"] == "AnonymousUser"


def test_login_keeps_the_same_user_s_login_with_django(browser, ada):
    browser.get("/django/in/?user=ada")
    key = session_key(browser)
    browser.get("/in/?user=ada")
    assert (session_key(browser), DjangoSession.objects.get().get_decoded()[SESSION_KEY]) == (key, str(ada.pk))


# --- transactions


@pytest.mark.parametrize("put", ["?put=before", ""])
def test_login_that_is_rolled_back_keeps_django_s_session(browser, ada, put):
    browser.get(f"/cart/{put}")
    key = session_key(browser)
    assert browser.post("/refused/?user=ada").status_code == 400
    assert (session_key(browser), state(browser)) == (
        key,
        {"cart": "before" if put else None, "user": "AnonymousUser"},
    )


def test_login_over_another_user_s_that_is_rolled_back_keeps_django_s_session(browser, ada, bob):
    browser.get("/in/?user=ada")
    browser.get("/cart/?put=of+ada")
    assert browser.post("/refused/?user=bob").status_code == 400
    assert state(browser) == {"cart": "of ada", "user": "ada"}


def test_logout_takes_effect_if_it_and_a_login_are_rolled_back(browser, ada, bob):
    browser.get("/in/?user=ada")
    browser.get("/cart/?put=of+ada")
    assert browser.post("/out-and-in-rolled-back/?user=bob").status_code == 200
    assert state(browser) == {"cart": None, "user": "AnonymousUser"}
    assert not Session.objects.exists()


# --- logins with Django's own login


@pytest.mark.parametrize("url", ["/django/in/", "/django/in/async/"])
@pytest.mark.parametrize("client", [Client, Browser])
def test_later_login_with_django_as_another_user_ends_the_session(client, ada, bob, url):
    browser = client()
    browser.get("/in/?user=ada")
    response = browser.get(f"{url}?user=bob")
    assert response.content == b"bob"
    assert {response.cookies[name].value for name in ("access_token", "refresh_token")} == {""}
    assert state(browser)["user"] == "bob"
    assert not Session.objects.exists()


@pytest.mark.parametrize("query", ["?user=bob", "?user=bob&and-jwtauth"])
def test_login_with_django_that_is_rolled_back_ends_no_session(browser, ada, bob, query):
    browser.get("/in/?user=ada")
    browser.get("/cart/?put=of+ada")
    assert "access_token" not in browser.get(f"/django/in/rolled-back/{query}").cookies
    assert state(browser) == {"cart": "of ada", "user": "ada"}
    assert [session.user for session in Session.objects.all()] == [ada]


@pytest.mark.django_db(transaction=False)
def test_login_with_django_as_another_user_ends_the_session_within_a_test_s_transaction(browser, ada, bob):
    browser.get("/in/?user=ada")
    browser.get("/django/in/?user=bob")
    assert state(browser)["user"] == "bob"
    assert not Session.objects.exists()


def test_login_with_django_as_the_same_user_keeps_the_session(browser, ada):
    browser.get("/in/?user=ada")
    response = browser.get("/django/in/?user=ada")
    assert "access_token" not in response.cookies
    assert Session.objects.get().user == ada


def test_login_form_of_the_admin_can_sign_in_another_user(browser, ada):
    get_user_model().objects.create_superuser("root", password="secret")
    browser.get("/in/?user=ada")
    response = browser.post("/admin/login/?next=/admin/", {"username": "root", "password": "secret"}, follow=True)
    assert [status for _, status in response.redirect_chain] == [302]
    assert response.status_code == 200
    assert state(browser)["user"] == "root"


def test_login_with_django_without_the_session_s_cookies_ends_the_session(browser, ada, bob):
    # In a provider's callback the browser withholds SameSite=Strict cookies.
    browser.get("/in/?user=ada")
    tokens = {name: browser.cookies.pop(name) for name in ("access_token", "refresh_token")}
    response = browser.get("/django/in/?user=bob", headers={"sec-fetch-site": "cross-site"})
    assert {response.cookies[name].value for name in tokens} == {""}
    assert state(browser)["user"] == "bob"


def test_login_with_django_without_a_session_clears_no_cookies(browser, bob):
    assert "access_token" not in browser.get("/django/in/?user=bob").cookies
    response = browser.get("/django/in/?user=bob", headers={"sec-fetch-site": "same-origin"})
    assert "access_token" not in response.cookies


def test_user_logged_in_signals_of_other_packages_end_no_session(browser, ada, bob, receivers):
    # Packages that sign in without Django's session send such signals.

    def other_login(request):
        user_logged_in.send(sender=type(bob), request=request, user=bob)
        return HttpResponse()

    browser.get("/in/?user=ada")
    urls = type("urls", (), {"urlpatterns": [path("other/", other_login), *urlpatterns]})
    with override_settings(ROOT_URLCONF=urls):
        browser.get("/other/")
        assert state(browser)["user"] == "ada"


@pytest.mark.parametrize("url", ["/out/", "/auth/logout/", "/django/out/"])
def test_logout_signal_names_the_user_of_django_s_session_login(browser, ada, receivers, url):
    names = []
    receivers(user_logged_out, lambda user, **_: names.append(user and user.get_username()))
    browser.get("/django/in/?user=ada")
    browser.post(url)
    assert names == ["ada"]
    browser.post(url)
    assert names == ["ada", None]


# --- receivers


def test_login_may_be_called_from_a_receiver_of_its_own_signal(browser, ada, receivers):
    sent = []

    def receiver(sender, request, user, **kwargs):
        sent.append(user)
        jwtauth.login(request, user, cross_origin=True)

    receivers(user_logged_in, receiver)
    browser.get("/in/?user=ada")
    assert sent == [ada]
    assert Session.objects.count() == 1
    assert state(browser)["user"] == "ada"


@pytest.mark.parametrize("url", ["/django/in/", "/django/in/async/"])
def test_receiver_of_django_s_login_can_sign_in_with_jwtauth(browser, ada, bob, receivers, url):
    sent = []

    def receiver(sender, request, user, **kwargs):
        sent.append(user)
        jwtauth.login(request, user, cross_origin=True)

    receivers(user_logged_in, receiver)
    for user in (ada, bob):
        assert browser.get(f"{url}?user={user.username}").status_code == 200
        assert browser.get("/me/").json()["user"] == user.username
        assert Session.objects.get().user == user
    assert sent == [ada, bob]


def test_receiver_that_signs_in_sets_no_cookies_for_the_token_view(browser, ada, receivers):
    receivers(user_logged_in, lambda sender, request, user, **kwargs: jwtauth.login(request, user))
    response = browser.post("/auth/token/", {"username": "ada", "password": "old password"}, "application/json")
    assert response.status_code == 200
    assert not response.cookies
    assert Session.objects.count() == 1


def test_receiver_can_refuse_the_login(browser, ada, receivers):
    receivers(user_logged_in, lambda sender, request, user, **kwargs: jwtauth.logout(request))
    browser.get("/in/?user=ada")
    assert not Session.objects.exists()
    assert state(browser)["user"] == "AnonymousUser"


def test_receiver_that_signs_in_does_not_affect_force_login_of_django(ada, receivers):
    receivers(user_logged_in, lambda sender, request, user, **kwargs: jwtauth.login(request, user))
    for client in (Client(), AsyncClient()):
        client.force_login(ada, backend=BACKEND)
    assert not Session.objects.exists()


@pytest.mark.parametrize("url", ["/out/", "/django/out/"])
def test_logout_may_be_called_from_a_receiver_of_its_signal(browser, ada, receivers, url):
    users = []

    def receiver(sender, request, user, **kwargs):
        users.append(user)
        if len(users) > 5:
            raise AssertionError("the receivers call each other forever")
        jwtauth.logout(request)

    receivers(user_logged_out, receiver)
    browser.get("/in/?user=ada")
    assert browser.post(url).content == b"AnonymousUser"
    assert users[0] == ada
    assert not Session.objects.exists()


# --- backend


def test_login_accepts_a_backend_argument(browser, ada):
    assert browser.get("/in/backend/?user=ada").content == b"ada"


@pytest.mark.parametrize(("backend", "error"), [(object(), TypeError), ("other.Backend", ValueError)])
def test_login_refuses_a_backend_that_is_not_configured(rf, ada, backend, error):
    request = rf.post("/")
    Flow.attach(request)
    with pytest.raises(error, match="backend"):
        jwtauth.login(request, ada, backend=backend)
    assert not Session.objects.exists()


def test_session_stores_the_backend_of_its_login(browser, ada, settings):
    settings.AUTHENTICATION_BACKENDS = [BACKEND, "django.contrib.auth.backends.AllowAllUsersModelBackend"]
    browser.get("/in/?user=ada")
    assert Session.objects.get().backend == ""
    browser.get("/in/backend/?user=ada")
    assert Session.objects.get().backend == BACKEND
    settings.AUTHENTICATION_BACKENDS = settings.AUTHENTICATION_BACKENDS[1:]
    assert state(browser)["user"] == "AnonymousUser"


# --- password changes with Django's own functions


@pytest.mark.parametrize("with_django", [False, True])
def test_django_s_update_session_auth_hash_keeps_the_session(browser, other_browser, ada, clock, with_django):
    if with_django:
        browser.get("/django/in/?user=ada")
    browser.get("/in/?user=ada")
    other_browser.sign_in(ada)
    old = browser.cookies["refresh_token"].value
    browser.post("/password/by-django/")
    assert browser.cookies["refresh_token"].value not in (old, "")
    assert browser.get("/me/").json()["user"] == "ada"
    clock.advance(ACCESS_LIFETIME + 1)
    assert browser.get("/me/").json()["user"] == "ada"
    assert other_browser.who() is None


@override_settings(MIDDLEWARE=ABOVE_DJANGO)
def test_password_change_keeps_session_data_with_jwtauth_s_middleware_first(browser, ada):
    browser.get("/django/in/?user=ada")
    browser.get("/in/?user=ada")
    browser.get("/cart/?put=something")
    old = session_key(browser)
    browser.post("/password/by-django/")
    assert session_key(browser) != old
    assert state(browser) == {"cart": "something", "user": "ada"}


def test_password_views_of_django_and_the_admin_keep_the_session(browser):
    get_user_model().objects.create_superuser("root", password="secret")
    browser.get("/in/?user=root")
    password = "secret"
    for url in ("/password/view/", "/admin/password_change/"):
        new = f"{url} new"
        form = {"old_password": password, "new_password1": new, "new_password2": new}
        assert browser.post(url, form).status_code == 302
        assert browser.get("/me/").json()["user"] == "root"
        password = new


def test_admin_page_for_passwords_keeps_the_session_of_the_current_user(browser, ada):
    root = get_user_model().objects.create_superuser("root", password="secret")
    browser.get("/in/?user=root")
    for user in (ada, root):
        form = {"password1": "Gw7-long enough", "password2": "Gw7-long enough", "usable_password": "true"}
        assert browser.post(f"/admin/auth/user/{user.pk}/password/", form).status_code == 302
        assert browser.get("/me/").json()["user"] == "root"


def test_password_change_of_another_user_replaces_no_session(browser, ada, bob):
    browser.get("/in/?user=ada")
    before = Session.objects.get().pk
    browser.post("/password/other/?user=bob")
    assert Session.objects.get().pk == before
    assert browser.get("/me/").json()["user"] == "ada"


def test_jwtauth_s_update_session_auth_hash_keeps_django_s_login(browser, ada):
    browser.get("/django/in/?user=ada")
    browser.get("/in/?user=ada")
    key = session_key(browser)
    assert browser.post("/password/").status_code == 200
    assert session_key(browser) != key
    for name in ("access_token", "refresh_token"):
        browser.cookies.pop(name)
    assert state(browser)["user"] == "ada"


def test_password_reset_signs_in_with_a_receiver(browser, ada, receivers):
    receivers(user_logged_in, lambda sender, request, user, **kwargs: jwtauth.login(request, user, cross_origin=True))
    uid, token = urlsafe_base64_encode(force_bytes(ada.pk)), default_token_generator.make_token(ada)
    form_url = browser.get(f"/reset/{uid}/{token}/").url
    response = browser.post(form_url, {"new_password1": "Gw7-long enough", "new_password2": "Gw7-long enough"})
    assert response.status_code == 302
    assert browser.get("/me/").json()["user"] == "ada"
