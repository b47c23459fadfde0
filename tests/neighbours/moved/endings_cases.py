"""Logins that have ended stay so: in another spelling, by another source, after races, rollbacks and time."""

import base64
from datetime import datetime, timedelta, timezone

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import transaction
from django.http import JsonResponse
from django.test import Client, override_settings
from django.urls import path
from knox.models import AuthToken
from rest_framework_simplejwt.tokens import RefreshToken

import jwtauth
from jwtauth.contrib.old_logins import simplejwt
from jwtauth.models import Session
from tests.neighbours.moved import urls
from tests.neighbours.moved.cases import accepting, make_user, who

INSTALLED = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "rest_framework",
    "rest_framework.authtoken",
    "knox",
    "dj_rest_auth",
    "jwtauth",
]
without_blacklist = override_settings(INSTALLED_APPS=INSTALLED)


def bearer(token):
    return {"HTTP_AUTHORIZATION": f"Bearer {token}"}


def refresh(client, token):
    return client.post("/auth/token/refresh/", {"refresh": str(token)}, content_type="application/json")


def revoke(client, token):
    return client.post("/auth/token/revoke/", {"token": str(token)}, content_type="application/json")


def roll_back(request):
    with transaction.atomic():
        jwtauth.logout(request)
        transaction.set_rollback(True)
    return JsonResponse({})


def django_login(request):
    from django.contrib.auth import login

    login(
        request,
        get_user_model().objects.get(username=request.GET["name"]),
        backend="django.contrib.auth.backends.ModelBackend",
    )
    return JsonResponse({})


def cart(request):
    request.session["cart"] = request.GET["put"]
    return JsonResponse({})


urlpatterns = [*urls.urlpatterns, path("rolled/", roll_back), path("django-login/", django_login), path("cart/", cart)]
pytestmark = pytest.mark.urls(__name__)


def respelled(token, how):
    text = str(token)
    head, sig = text.rsplit(".", 1)
    if how == "bits":
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        return f"{head}.{sig[:-1]}{alphabet[alphabet.index(sig[-1]) ^ 1]}"
    if how == "padding":
        return text + "="
    if how == "standard alphabet":
        return f"{head}.{sig.replace('-', '+').replace('_', '/')}"
    if how == "junk":
        return f"{head}.{sig[:4]}!!!!{sig[4:]}"
    return text + " "


HOWS = ["bits", "padding", "junk", "space"]


@pytest.mark.parametrize("how", HOWS)
@without_blacklist
def test_ended_refresh_token_does_not_come_back_in_another_spelling(client, ada, how):
    old = RefreshToken.for_user(ada)
    with accepting("simplejwt"):
        refresh(client, old)
        Session.objects.get().end()
        assert refresh(client, old).status_code == 401
        assert refresh(client, respelled(old, how)).status_code == 401, "it starts another session"
    assert not Session.objects.exists()


@pytest.mark.parametrize("how", HOWS)
def test_signed_out_access_token_does_not_come_back_in_another_spelling(client, ada, how):
    token = RefreshToken.for_user(ada).access_token
    with accepting("simplejwt"):
        assert client.post("/auth/logout/", **bearer(token)).status_code == 204
        assert who(client, **bearer(token)) == ""
        assert who(client, **bearer(respelled(token, how))) == ""


@pytest.mark.parametrize("how", HOWS)
def test_spellings_of_one_refresh_token_start_one_session(client, ada, how):
    """With the blacklist: both spellings are live at once, and theft is not seen."""
    old = RefreshToken.for_user(ada)
    with accepting("simplejwt"):
        refresh(client, old)
        refresh(client, respelled(old, how))
        assert Session.objects.count() <= 1


class Mine(simplejwt.Logins):
    """A project's subclass."""


@without_blacklist
@pytest.mark.parametrize("second", ["dj_rest_auth", f"{__name__}.Mine"])
def test_ended_refresh_token_does_not_come_back_by_the_next_source(client, ada, second):
    old = RefreshToken.for_user(ada)
    until = (datetime.now(timezone.utc) + timedelta(days=30)).isoformat()
    entries = [{"source": "simplejwt", "until": until}, {"source": second, "until": until}]
    with override_settings(JWTAUTH={"COOKIE_SECURE": False, "ACCEPT_LOGINS_OF": entries}):
        refresh(client, old)
        Session.objects.get().end()
        assert refresh(client, old).status_code == 401
    assert not Session.objects.exists()


def browser_of_dj_rest_auth(ada):
    """dj-rest-auth's default SESSION_LOGIN: the login leaves a Django session beside the tokens."""
    client = Client(enforce_csrf_checks=True)
    client.get("/django-login/?name=ada")
    old = RefreshToken.for_user(ada)
    client.cookies["old-refresh"] = str(old)
    client.cookies["old-access"] = str(old.access_token)
    return client


@pytest.mark.parametrize("order", [1, -1])
def test_login_that_left_two_credentials_does_not_come_back_by_the_second(ada, order):
    client = browser_of_dj_rest_auth(ada)
    until = (datetime.now(timezone.utc) + timedelta(days=30)).isoformat()
    entries = [{"source": "django_sessions", "until": until}, {"source": "dj_rest_auth", "until": until}][::order]
    with override_settings(JWTAUTH={"COOKIE_SECURE": False, "ACCEPT_LOGINS_OF": entries}):
        assert who(client) == who(client) == "ada"
        Session.objects.get().end()  # on another device
        client.cookies.pop("access_token")
        assert [who(client), who(client), who(client)] == ["", "", ""]
    assert not Session.objects.exists()


def test_knox_app_that_sends_its_token_in_the_header_after_the_exchange_is_not_taken_for_a_thief(client, ada, clock):
    _, token = AuthToken.objects.create(ada)
    header = {"HTTP_AUTHORIZATION": f"Token {token}"}
    with accepting("knox"):
        pair = refresh(client, token).json()
        assert who(client, **bearer(pair["access"])) == "ada"
        clock.tick(60)
        assert who(client, **header) == "ada", "knox accepts it: the new refresh token has not been seen"
        assert Session.objects.exists()
        assert refresh(client, pair["refresh"]).status_code == 200


class Racing(simplejwt.Logins):
    """Verify, and before the answer is used let another request with the same credential finish."""

    meanwhile = None

    def verify(self, request, shown):
        login = super().verify(request, shown)
        meanwhile, Racing.meanwhile = Racing.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return login


def test_revocation_that_races_with_the_move_wins(client, ada):
    old, pairs = RefreshToken.for_user(ada), []
    with accepting(f"{__name__}.Racing"):
        Racing.meanwhile = lambda: pairs.append(refresh(Client(), old).json())
        assert revoke(client, old).status_code == 200
        assert who(client, **bearer(pairs[0]["access"])) == ""
    assert not Session.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_logout_in_a_transaction_that_rolls_back_refuses_what_it_shows(client, ada):
    token = RefreshToken.for_user(ada).access_token
    with accepting("simplejwt"):
        assert client.post("/rolled/", **bearer(token)).status_code == 200
        assert who(client, **bearer(token)) == ""


def test_record_outlives_djangos_session(client, ada, clock):
    client.get("/django-login/?name=ada")
    with accepting("django_sessions"):
        assert who(client) == who(client) == "ada"
        copy = Client()
        copy.cookies["sessionid"] = client.cookies["sessionid"].value
        clock.tick(10 * 24 * 3600)
        client.get("/cart/?put=apple")  # Django's session is extended
        Session.objects.all().end()  # on another device
        clock.tick(5 * 24 * 3600)
        call_command("jwtauth_clearsessions", verbosity=0)
        assert who(copy, "/plain/") == ""
    assert not Session.objects.exists()


def test_ended_login_of_django_does_not_come_back_after_until(client, ada, clock):
    client.get("/django-login/?name=ada")
    with accepting("django_sessions", days=5):
        assert who(client) == who(client) == "ada"
        copy = Client()
        copy.cookies["sessionid"] = client.cookies["sessionid"].value
        Session.objects.all().end()  # on another device
        clock.tick(6 * 24 * 3600)
        assert who(copy, "/plain/") == ""


def test_ended_login_of_django_does_not_come_back_on_a_cross_site_request(client, ada, clock):
    client.get("/django-login/?name=ada")
    with accepting("django_sessions"):
        assert who(client) == who(client) == "ada"
        copy = Client()
        copy.cookies["sessionid"] = client.cookies["sessionid"].value
        Session.objects.all().end()
        assert who(copy, "/plain/", HTTP_SEC_FETCH_SITE="cross-site") == ""


class Staff(User):
    class Meta:
        proxy = True
        app_label = "auth"


def test_new_password_saved_through_a_proxy_is_noticed(client, ada):
    old = RefreshToken.for_user(ada)
    old.set_iat(at_time=old.current_time.replace(year=2020))
    staff = Staff.objects.get(pk=ada.pk)
    with accepting("simplejwt"):
        staff.set_password("another secret")
        staff.save()
        assert refresh(client, old).status_code == 401
    assert not Session.objects.exists()


def test_signing_out_other_devices_keeps_the_app_that_ignores_new_refresh_tokens(client, ada, clock):
    old = RefreshToken.for_user(ada)
    with accepting("simplejwt"):
        clock.tick(10)
        access = refresh(client, old).json()["access"]
        assert client.delete("/auth/sessions/others/", **bearer(access)).status_code == 200
        assert who(client, **bearer(access)) == "ada", "this device"
        assert refresh(client, old).status_code == 200, "this device"


def test_fractional_iat_is_not_an_error(client, ada):
    client.raise_request_exception = False
    token = RefreshToken.for_user(ada)
    token["iat"] = token["iat"] + 0.5
    token["exp"] = token["exp"] + 0.5
    with accepting("simplejwt"):
        assert refresh(client, token).status_code == 200
        access = token.access_token
        access["iat"] = access["iat"] + 0.5
        assert client.get("/who/", **bearer(access)).status_code == 200


def test_header_with_more_spaces_is_accepted_as_by_simplejwt(client, ada):
    token = RefreshToken.for_user(ada).access_token
    with accepting("simplejwt"):
        assert who(client, HTTP_AUTHORIZATION=f"Bearer  {token}") == "ada"
        assert who(client, HTTP_AUTHORIZATION=f" Bearer\t{token}") == "ada"


def test_user_id_that_is_not_a_key_is_not_an_error(client, ada):
    client.raise_request_exception = False
    token = RefreshToken.for_user(ada)
    token["user_id"] = "abc"
    with accepting("simplejwt"):
        assert refresh(client, token).status_code == 401
        assert client.get("/who/", **bearer(token.access_token)).status_code in (401, 403)


def test_late_parallel_request_of_an_app_that_starts_to_use_the_new_refresh_token(client, ada, clock):
    old = RefreshToken.for_user(ada)
    with accepting("simplejwt"):
        refresh(client, old)
        clock.tick(3600)
        pair = refresh(client, old).json()
        assert who(client, **bearer(pair["access"])) == "ada"
        new = refresh(client, pair["refresh"]).json()  # the app is updated
        assert refresh(client, old).status_code == 200, "a parallel request of the old code"
        clock.tick(5)
        assert refresh(client, old).status_code == 200
        assert Session.objects.exists()
        clock.tick(20)
        assert refresh(client, new["refresh"]).status_code == 200


def test_two_apps_of_one_user_do_not_write_at_every_request(client, ada):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    headers = [{"HTTP_AUTHORIZATION": f"Token {AuthToken.objects.create(ada)[1]}"} for _ in range(2)]
    with accepting("knox"):
        for header in headers * 2:
            assert who(client, **header) == "ada"
        with CaptureQueriesContext(connection) as queries:
            for header in headers * 2:
                assert who(client, **header) == "ada"
    assert [one["sql"] for one in queries if not one["sql"].startswith("SELECT")] == []


class Spending(simplejwt.Logins):
    spent = []

    def spend(self, reference, user_id):
        Spending.spent.append(reference)


@pytest.mark.django_db(transaction=True)
def test_password_change_that_is_rolled_back_spends_nothing(client, ada):
    Spending.spent.clear()
    old = RefreshToken.for_user(ada)
    with accepting(f"{__name__}.Spending"):
        refresh(client, old)
        with transaction.atomic():
            ada.set_password("another secret")
            ada.save()
            assert Spending.spent == [], "not before the commit"
            transaction.set_rollback(True)
    assert Spending.spent == []


def test_junk_cookie_of_the_old_package_is_ignored_as_one_of_jwtauth(ada):
    client = Client()
    client.handler.enforce_csrf_checks = True
    evil = {"HTTP_ORIGIN": "https://pay.example"}
    client.cookies["access_token"] = "junk"
    with accepting("dj_rest_auth"):
        assert client.post("/public-post/", **evil).status_code == 200
        client.cookies["old-refresh"] = "junk"
        assert client.post("/public-post/", **evil).status_code == 200


def test_visitor_whom_django_signs_in_as_another_user_is_that_user(ada):
    make_user("bob")
    client = Client()
    client.cookies["old-access"] = str(RefreshToken.for_user(ada).access_token)
    with accepting("dj_rest_auth"):
        assert client.get("/django-login-who/?name=bob").json() == {"user": "bob", "auth": ""}


def django_login_who(request):
    django_login(request)
    return JsonResponse({"user": request.user.get_username(), "auth": request.jwtauth.user.get_username()})


from django.views.decorators.csrf import csrf_exempt  # noqa: E402

urlpatterns += [
    path("public-post/", csrf_exempt(lambda request: JsonResponse({}))),
    path("django-login-who/", django_login_who),
]


def test_elliptic_signature_has_two_values(client, ada, monkeypatch):
    """A client that has a signature (r, s) of ES256 can compute (r, n - s)."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from rest_framework_simplejwt import state
    from rest_framework_simplejwt.backends import TokenBackend

    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
    monkeypatch.setattr(state, "token_backend", TokenBackend("ES256", private, public))
    old = str(RefreshToken.for_user(ada))
    head, sig = old.rsplit(".", 1)
    raw = base64.urlsafe_b64decode(sig + "==")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    other = raw[:32] + (order - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    copy = f"{head}.{base64.urlsafe_b64encode(other).decode().rstrip('=')}"
    with accepting("simplejwt"):
        assert refresh(client, old).status_code == 200
        refresh(client, copy)
        assert Session.objects.count() == 1


def test_forged_signature_of_a_moved_token_ends_nothing(client, ada, clock):
    old = str(RefreshToken.for_user(ada))
    with accepting("simplejwt"):
        pair = refresh(client, old).json()
        assert refresh(client, pair["refresh"]).status_code == 200
        forged = old.rpartition(".")[0] + "." + "A" * 43
        assert refresh(client, forged).status_code == 401
        clock.tick(60)
        assert refresh(client, forged).status_code == 401
        assert Session.objects.exists()
