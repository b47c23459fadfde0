"""Send spellings of users' keys to a Rust service: ``python -m tests.databases.keys PORT``.

Fails if a login makes a session that does not belong to the same user in Django and in Rust.
"""

from urllib.parse import quote

from tests.databases.faces import Browser, advance  # first: it sets Django up

# isort: split
from django.contrib.auth import get_user_model

from jwtauth.models import Session
from tests.databases.served import ACCESS_LIFETIME

# By the class of the key: a key, other spellings of it, and texts that are not a key.
SPELLINGS = {
    "BigAutoField": (
        42,
        ["042", "+42", " 42"],
        ["42.0", "42abc", "4 2", "0x2a", "1e3", "9223372036854775808", "-42", ""],
    ),
    "UUIDField": (
        "018f3b2c-7a00-7000-8000-00000000000a",
        ["018F3B2C-7A00-7000-8000-00000000000A", "018f3b2c7a0070008000000000" + "00000a"],
        ["018f3b2c-7a00-7000-8000-00000000000", "42", "018f3b2c-7a00-7000-8000-00000000000b", ""],
    ),
    "CharField": ("Ada", [], ["ada", "ADA", "Ada ", " Ada", "Ad\u00e4", "Ada\0", ""]),
}


def sign_in(key):
    """Sign in at the Rust service; return the browser, or ``None`` if the login is refused."""
    browser, before = Browser(), Session.objects.count()
    status, body = browser.answer("rust", f"/login/?user={quote(key)}", "POST")
    assert status in (200, 401), (key, status, body)
    assert Session.objects.count() == before + (status == 200), key
    return browser if status == 200 else None


def check_is_the_user(browser, user):
    for face in ("django", "rust"):
        assert browser.is_known()
        assert browser.ask("rust", "/who/") == str(user.pk)
        assert browser.ask("django", "/me/class/") == f'{{"user":"{user}"}}'
        assert browser.sessions("rust") == browser.sessions("django") != {}
        advance(ACCESS_LIFETIME + 1)
        browser.cookies.pop("access_token")
        assert browser.is_known_at(face)
    Session.objects.of(user).end()
    assert not browser.is_known()


model = get_user_model()
key, spellings, others = SPELLINGS[type(model._meta.pk).__name__]
user = model.objects.create(pk=key, name="ada", password="!")
user.refresh_from_db()
check_is_the_user(Browser().sign_in("django", user), user)
for spelling in (str(key), *spellings):
    browser = sign_in(spelling)
    assert browser is not None, spelling
    check_is_the_user(browser, user)
for other in others:
    browser = sign_in(other)
    assert browser is None, other
