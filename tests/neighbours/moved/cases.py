"""What all cases share: a user, a browser without tokens, and settings that accept the logins of a source."""

from datetime import datetime, timedelta, timezone

from django.contrib.auth import get_user_model
from django.test import override_settings

SAME_ORIGIN = {"HTTP_SEC_FETCH_SITE": "same-origin"}
TOKENS = ("access_token", "refresh_token")


def accepting(source, *, days=30, **entry):
    """Accept the logins of this source for so many days, with these settings of jwtauth."""
    until = (datetime.now(timezone.utc) + timedelta(days=days)).isoformat()
    since = {"since": entry.pop("since")} if "since" in entry else {}
    return override_settings(
        JWTAUTH={"COOKIE_SECURE": False, "ACCEPT_LOGINS_OF": [{"source": source, "until": until, **since}], **entry}
    )


def make_user(name="ada"):
    return get_user_model().objects.create_user(name, password="a secret")


def who(client, path="/who/", **headers):
    """Return the name of the user whom the site sees, and ``""`` if the request is anonymous."""
    answer = client.get(path, **headers)
    assert answer.status_code in (200, 401, 403), answer.content
    return answer.json()["user"] if answer.status_code == 200 else ""


def sets_tokens(response):
    return [name for name in TOKENS if response.cookies.get(name) is not None and response.cookies[name].value]
