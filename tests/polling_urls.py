"""URLs of a page that polls, marked as no activity: a function, and classes of Django and of DRF."""

from django.urls import path
from django.views import View

from jwtauth import no_activity
from tests import views
from tests.urls import urlpatterns as usual


@no_activity
def poll(request):
    return views.me(request)


@no_activity
class Poll(View):
    def get(self, request):
        return views.me(request)


@no_activity
class PollOfAnApi(views.MeView):
    pass


urlpatterns = [
    *usual,
    path("poll/", poll),
    path("poll/class/", Poll.as_view()),
    path("poll/api/", PollOfAnApi.as_view()),
]
