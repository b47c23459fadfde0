"""The URLs of dj-rest-auth's tests, under the module name in its settings."""

from dj_rest_auth.tests.urls import urlpatterns as urlpatterns
