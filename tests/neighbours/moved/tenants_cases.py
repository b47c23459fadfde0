import pytest
from django.contrib.auth import get_user_model
from rest_framework_simplejwt.tokens import AccessToken

from tests.neighbours.moved.cases import accepting, who

CURRENT = ["default"]


class Router:
    def db_for_read(self, model, **hints):
        return CURRENT[0]

    db_for_write = db_for_read

    def allow_relation(self, *args, **hints):
        return True


def choose(get_response):
    def middleware(request):
        before, CURRENT[0] = CURRENT[0], request.headers.get("X-Tenant", "default")
        try:
            return get_response(request)
        finally:
            CURRENT[0] = before

    return middleware


@pytest.mark.django_db(databases=["default", "b"])
@pytest.mark.parametrize("path", ["/who/", "/plain/"])
def test_access_token_is_of_the_tenant_of_the_view(client, path):
    users = get_user_model().objects
    users.db_manager("default").create_user("operator", password="x", pk=1, is_superuser=True)
    users.db_manager("b").create_user("ada", password="x", pk=1)
    CURRENT[0] = "b"
    token = AccessToken.for_user(users.using("b").get())
    CURRENT[0] = "default"
    with accepting("simplejwt"):
        assert who(client, path, HTTP_AUTHORIZATION=f"Bearer {token}", HTTP_X_TENANT="b") in ("", "ada")
