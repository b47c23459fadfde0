"""A response that an error after the view replaces is closed, with its files."""

from io import BytesIO

import pytest
from django.db import OperationalError, connection
from django.http import FileResponse
from django.test import AsyncClient, Client
from django.urls import path

from jwtauth import logout, middleware
from jwtauth.exceptions import SessionContention
from jwtauth.internal.flow import Flow
from jwtauth.test import force_login

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.test_replaced")]

SENT = []


def download(request):
    """Sign out, and return a file: the end of the session is written again after the view."""
    logout(request)
    SENT.append(BytesIO(b"a file"))
    return FileResponse(SENT[-1])


async def async_download(request):
    SENT.append(BytesIO(b"a file"))
    return FileResponse(SENT[-1])


urlpatterns = [path("download/", download), path("download/async/", async_download)]


@pytest.fixture(autouse=True)
def _nothing_sent():
    SENT.clear()


def fail(error):
    def fails(*args, **kwargs):
        raise error

    return fails


@pytest.fixture
def client_of_ada(ada):
    client = Client(raise_request_exception=False)
    force_login(client, ada)
    return client


@pytest.mark.parametrize(
    ("error", "status"), [(OperationalError("the database is away"), 500), (SessionContention("busy", "busy"), 503)]
)
def test_replaced_response_is_closed_if_the_outcome_cannot_be_written(client_of_ada, monkeypatch, error, status):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    monkeypatch.setattr(Flow, "run_deferred", fail(error))
    assert client_of_ada.get("/download/").status_code == status
    (file,) = SENT
    assert file.closed


def test_replaced_response_is_closed_if_no_token_can_be_issued(client_of_ada, monkeypatch):
    monkeypatch.setattr(middleware, "write", fail(ValueError("no token")))
    assert client_of_ada.get("/download/").status_code == 500
    (file,) = SENT
    assert file.closed


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators:Warning")
def test_replaced_response_is_closed_in_async_code(monkeypatch):
    from asgiref.sync import async_to_sync

    monkeypatch.setattr(middleware, "write", fail(ValueError("no token")))
    client = AsyncClient(raise_request_exception=False)
    assert async_to_sync(client.get)("/download/async/").status_code == 500
    (file,) = SENT
    assert file.closed


def test_response_that_is_sent_is_not_closed_early(client_of_ada):
    response = client_of_ada.get("/download/")
    assert not SENT[0].closed
    assert b"".join(response.streaming_content) == b"a file"
    response.close()
    assert SENT[0].closed
