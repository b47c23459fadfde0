"""URLs with Django's admin."""

from .urls import urlpatterns as urlpatterns
