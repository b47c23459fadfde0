"""A user with a UUID for a key, one with text, and one that has no password."""

import uuid

from django.contrib.auth.models import AbstractBaseUser
from django.db import models


class UuidUser(AbstractBaseUser):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    name = models.CharField(max_length=50, unique=True)

    USERNAME_FIELD = "name"


class TextUser(AbstractBaseUser):
    name = models.CharField(max_length=50, primary_key=True)

    USERNAME_FIELD = "name"


class PlainUser(models.Model):
    name = models.CharField(max_length=50, unique=True)
    last_login = models.DateTimeField(null=True)

    USERNAME_FIELD = "name"
    REQUIRED_FIELDS = ()
    is_active = True
    is_anonymous = False
    is_authenticated = True

    def __str__(self):
        return self.name
