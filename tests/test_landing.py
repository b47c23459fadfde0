"""``landing``: a page that redirects in the browser, so that the next request has ``SameSite=Strict`` cookies."""

import re
from html.parser import HTMLParser

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import DisallowedRedirect
from django.http import HttpResponse
from django.test import AsyncClient, override_settings
from django.urls import path
from django.utils.translation import override
from rest_framework.decorators import api_view

from jwtauth import landing
from tests import views

OWN = "http://testserver"


class Order:
    """Stand in for a model instance with ``get_absolute_url``."""

    def get_absolute_url(self):
        return "/orders/5/"


TARGETS = {"object": Order(), "view": views.idle}


def go(request):
    return landing(request, TARGETS.get(request.GET.get("object"), request.GET.get("next")))


async def async_go(request):
    return landing(request, request.GET.get("next"))


@api_view(["GET", "POST"])
def drf_go(request):
    return landing(request, request.GET.get("next"))


@login_not_required
def sign_in(request):
    """Load the page once more if the user comes from another site, as in the guide: they may be signed in."""
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        return landing(request, request.GET.get("next", "/idle/"))
    return HttpResponse("the form")


def onto_itself(request):
    return landing(request, request.get_full_path())


urlpatterns = [
    path("go/", go),
    path("go/async/", async_go),
    path("go/drf/", drf_go),
    path("sign-in/", sign_in),
    path("onto-itself/", onto_itself),
    path("login/", views.login_view),
    path("me/plain/", views.plain_me),
    path("idle/", views.idle, name="idle"),
]
pytestmark = pytest.mark.urls("tests.test_landing")


class Page(HTMLParser):
    """Parse the page as a browser does."""

    def __init__(self, response):
        super().__init__()
        self.refresh, self.link, self.tags = None, None, []
        self.feed(response.content.decode())

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        attributes = dict(attributes)
        if attributes.get("http-equiv") == "refresh":
            self.refresh = attributes["content"]
        if tag == "a":
            self.link = attributes["href"]


def target(response):
    """Return the target of the page's refresh, which is its link's too."""
    assert response.status_code == 200, response.content
    page = Page(response)
    assert page.refresh == f"0; url={page.link}"
    return page.link


@pytest.mark.parametrize("view", ["/go/", "/go/async/", "/go/drf/"])
def test_landing_page_redirects_in_the_browser(client, view):
    response = client.get(view, {"next": "/orders/?a=1&b=2"})
    assert target(response) == "/orders/?a=1&b=2"
    assert response["Content-Type"] == "text/html; charset=utf-8"
    assert "Location" not in response


def test_landing_page_redirects_under_asgi():
    response = async_to_sync(AsyncClient().get)("/go/async/", {"next": "/orders/"})
    assert target(response) == "/orders/"


def test_landing_page_answers_a_cross_site_post(client):
    assert target(client.post("/go/drf/?next=/go/drf/%3Fnext=/go/drf/")) == "/go/drf/?next=/go/drf/"


def test_landing_page_is_not_stored_and_sends_no_referrer(client):
    response = client.get("/go/?code=secret&next=/orders/")
    assert response["Cache-Control"] == "no-store"
    assert response["Referrer-Policy"] == "no-referrer"
    assert b"secret" not in response.content


def test_landing_page_needs_no_script_style_or_image(client):
    response = client.get("/go/", {"next": "/orders/"})
    assert set(Page(response).tags) == {"html", "head", "meta", "title", "body", "p", "a"}
    assert b"style=" not in response.content


def test_landing_page_has_a_language_a_title_and_a_link_with_text(client):
    with override("ar"):
        content = client.get("/go/", {"next": "/orders/"}, headers={"accept-language": "ar"}).content.decode()
    assert '<html lang="ar" dir="rtl">' in content
    assert re.search(r"<title>[^<]+</title>", content)
    assert re.search(r"<a [^>]+>[^<]+</a>", content)


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ("idle", "/idle/"),
        ("/a b/ü/", "/a%20b/%C3%BC/"),
        ("/#/orders/5", "/#/orders/5"),
        ("./next/", "/go/next/"),
        ("../next/", "/next/"),
        ("'/next/'", "/go/'/next/'"),
        ('"/next/"', "/go/%22/next/%22"),
        (f"{OWN}/orders/", f"{OWN}/orders/"),
        ("/a%2Fb/?next=%2Fc%2F", "/a%2Fb/?next=%2Fc%2F"),
        ("/a/;url=https://elsewhere.example/", "/a/;url=https://elsewhere.example/"),
    ],
)
def test_landing_redirects_to_urls_of_this_host(client, to, expected):
    assert target(client.get("/go/", {"next": to})) == expected


@pytest.mark.parametrize(("name", "expected"), [("object", "/orders/5/"), ("view", "/idle/")])
def test_landing_takes_the_arguments_of_redirect(client, name, expected):
    assert target(client.get("/go/", {"object": name})) == expected


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "to",
    [
        "https://elsewhere.example/",
        "//elsewhere.example/",
        "///elsewhere.example/",
        "/\\elsewhere.example/",
        "\\\\elsewhere.example/",
        "/\t/elsewhere.example/",
        "http:///elsewhere.example/",
        "https:elsewhere.example",
        "https://testserver@elsewhere.example/",
        "https://testserver.elsewhere.example/",
        "https://testserver:8443/",
        "javascript:alert(document.cookie)",
        "JaVaScRiPt://testserver/%0aalert(1)",
        "data:text/html,<script>alert(1)</script>",
        "ftp://testserver/",
        "http://[::1/",
        "\x01//elsewhere.example/",
        "no-such-view",
        "#top",
        "",
    ],
)
def test_landing_refuses_urls_of_other_hosts(client, scheme, to):
    response = client.get("/go/", {"next": to}, secure=scheme == "https")
    assert response.status_code == 400
    assert b"elsewhere" not in response.content


def test_landing_without_a_url_is_refused(client):
    assert client.get("/go/").status_code == 400


def test_landing_does_not_take_a_path_of_two_slashes_for_a_host(rf):
    request = rf.get("/go/")
    request.path = "//elsewhere.example/go/"
    with pytest.raises(DisallowedRedirect, match="only accepts URLs of this host"):
        landing(request, "../next/")


def test_landing_of_a_secure_request_refuses_plain_http(client):
    assert client.get("/go/", {"next": f"{OWN}/orders/"}, secure=True).status_code == 400
    assert (
        target(client.get("/go/", {"next": "https://testserver/orders/"}, secure=True)) == "https://testserver/orders/"
    )
    assert target(client.get("/go/", {"next": "/orders/"}, secure=True)) == "/orders/"


def test_landing_escapes_the_url(client):
    response = client.get("/go/", {"next": "/?a='\"><script>alert(1)</script>&amp;lt;"})
    assert b"<script" not in response.content
    assert target(response) == "/?a='%22%3E%3Cscript%3Ealert(1)%3C/script%3E&amp;lt;"


@pytest.mark.parametrize("headers", [{}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}])
@pytest.mark.parametrize("suffix", ["", "#top"])
def test_landing_refuses_to_redirect_to_itself_forever(client, rf, headers, suffix):
    request = rf.get("/sign-in/?next=/a/", headers=headers)
    with pytest.raises(DisallowedRedirect, match="to itself forever"):
        landing(request, f"/sign-in/?next=/a/{suffix}")
    with pytest.raises(DisallowedRedirect, match="to itself forever"):
        landing(request, f"{OWN}/sign-in/?next=/a/{suffix}")


def test_landing_may_redirect_to_itself_once(client):
    url = "/onto-itself/?next=/orders/"
    assert target(client.get(url, headers={"sec-fetch-site": "cross-site"})) == url
    assert client.get(url, headers={"sec-fetch-site": "same-origin"}).status_code == 400


LOGIN_REQUIRED = {
    "MIDDLEWARE": [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"],
    "LOGIN_URL": "/sign-in/",
}


@pytest.mark.parametrize("is_signed_in", [True, False])
def test_cross_site_link_reaches_the_signed_in_page_through_the_sign_in_page(browser, other_browser, ada, is_signed_in):
    # A browser sends Strict cookies only with requests that the site's own pages make.
    if is_signed_in:
        other_browser.sign_in(ada)
    with override_settings(**LOGIN_REQUIRED):
        sent = browser.get("/me/plain/", headers={"sec-fetch-site": "cross-site"})
        assert sent.url == "/sign-in/?next=/me/plain/"
        assert target(browser.get(sent.url, headers={"sec-fetch-site": "cross-site"})) == "/me/plain/"
        browser.carry(other_browser.tokens())
        page = browser.get("/me/plain/", headers={"sec-fetch-site": "same-origin"}, follow=True)
    assert page.content == (b"ada" if is_signed_in else b"the form")


def test_landing_for_a_host_that_is_not_allowed_is_refused(client):
    with override_settings(ALLOWED_HOSTS=["other.example"]):
        assert client.get("/go/", {"next": "/orders/"}).status_code == 400
