"""docs/guides/acting-as-another-user.md does what it says, typed literally into a new project."""

import re

from tests.test_guides import GUIDES, QUICKSTART, project  # noqa: F401
from tests.test_startproject import PASSWORD, example

PAGE = GUIDES / "acting-as-another-user.md"
BANNER = re.compile(r"^```html\n(.*?)^```$", re.M | re.S)

CODE = """
from django.contrib.auth.models import Group, User
from django.test import Client

customer, other = (User.objects.create_user(name, password=password) for name in ("carl", "otto"))
customer.groups.add(Group.objects.create(name="customers"))
client = Client()
def post(path, **data): return client.post(path, data, content_type="application/json")
def page(): return " ".join(client.get("/").content.decode().split())
post("/auth/login/", username="ada", password=password)
said.append(page())
said.append(post(f"/act/{other.pk}/").status_code)
said.append(post(f"/act/{customer.pk}/").status_code)
said.append("ada, you act as carl." in page())
said.append(client.get("/auth/me/").json()["user"]["username"])
said.append(client.get("/auth/sessions/").json()[0]["actor"])
answers = [client.get("/private/"), post("/email/", email="ada@example.com")]
said.append([[answer.status_code, answer.json()["code"]] for answer in answers])
said.append(post("/stop/").status_code)
said.append(page())
said.append(client.get("/auth/me/").json()["user"]["username"])
said.append([client.get("/private/").status_code, post("/email/", email="ada@example.org").status_code])
"""


def test_staff_acts_as_a_customer_and_stops(project):  # noqa: F811
    text = PAGE.read_text()
    for name in ("views", "support", "account"):
        project.write(f"mysite/{name}.py", example(PAGE, f"mysite/{name}.py"))
    (project.folder / "templates").mkdir()
    project.write("templates/home.html", BANNER.search(text)[1])
    urls = """
from django.views.generic import TemplateView
from mysite import account, views
urlpatterns += [
    path("", TemplateView.as_view(template_name="home.html")),
    path("act/<int:pk>/", views.act),
    path("stop/", views.stop),
    path("private/", account.private_messages),
    path("email/", account.change_email),
]
"""
    project.write("mysite/urls.py", example(QUICKSTART, "urls") + urls)
    setting = re.search(r'^JWTAUTH = (\{"ACT_AS": .+\})$', text, re.M)[1]
    project.append(f'TEMPLATES[0]["DIRS"] = [BASE_DIR / "templates"]\nJWTAUTH = {setting}\n')
    project.prepare()
    refused = [403, "acting_refused"]
    assert project.shell(CODE, password=PASSWORD) == [
        "",
        403,
        302,
        True,
        "carl",
        "ada",
        [refused, refused],
        302,
        "",
        "ada",
        [200, 200],
    ]
