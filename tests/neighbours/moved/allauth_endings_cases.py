import pytest
from django.test import Client

from tests.neighbours.moved import allauth_cases
from tests.neighbours.moved.allauth_cases import accepting, bearer, refresh, sign_in, urlpatterns  # noqa: F401
from tests.neighbours.moved.cases import who

pytestmark = pytest.mark.urls(allauth_cases.__name__)


def test_signed_out_access_token_of_allauth_in_another_spelling(ada):
    token = sign_in()["access_token"]
    with accepting(jwt_settings={"STATEFUL_VALIDATION_ENABLED": False}):
        client = Client()
        assert client.post("/auth/logout/", **bearer(token)).status_code == 204
        assert who(client, **bearer(token)) == ""
        assert who(client, **bearer(token + "=")) == ""


def test_two_access_tokens_of_allauth_do_not_write_at_every_request(ada):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    tokens = [sign_in()["access_token"] for _ in range(2)]
    with accepting():
        for token in tokens * 2:
            assert who(Client(), **bearer(token)) == "ada"
        with CaptureQueriesContext(connection) as queries:
            for token in tokens * 2:
                who(Client(), **bearer(token))
    assert [one["sql"] for one in queries if not one["sql"].startswith("SELECT")] == []
