"""What django-tenants stores about a tenant: its schema and its host."""

from django.db import models
from django_tenants.models import DomainMixin, TenantMixin


class Customer(TenantMixin):
    name = models.CharField(max_length=20)


class Domain(DomainMixin):
    pass
