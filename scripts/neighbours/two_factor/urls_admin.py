"""With Django's admin."""

from django.contrib import admin
from django.urls import path

from .urls import urlpatterns as others

urlpatterns = [*others, path("admin/", admin.site.urls)]
