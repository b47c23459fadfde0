"""URLs with the package's admin."""

from django.urls import path

from two_factor.admin import AdminSiteOTPRequired

from .urls import urlpatterns as others

urlpatterns = [*others, path("otp_admin/", AdminSiteOTPRequired().urls)]
