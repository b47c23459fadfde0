"""The URLs of dj-rest-auth's tests, under the name that its settings give."""

from dj_rest_auth.tests.urls import urlpatterns as urlpatterns
