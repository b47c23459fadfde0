"""Users of all tenants in one table; the default manager returns those of this thread's tenant."""

import threading

from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models

here = threading.local()


class TenantManager(UserManager):
    def get_queryset(self):
        return super().get_queryset().filter(tenant=getattr(here, "tenant", "a"))


class Member(AbstractUser):
    tenant = models.CharField(max_length=20)

    objects = TenantManager()
