"""A user with a UUID for a key, one with text, one that has no password, and one in two tables."""

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


class BackwardsField(models.CharField):
    """Is stored backwards, which only Django's converters know."""

    def get_prep_value(self, value):
        return value[::-1]

    def from_db_value(self, value, expression, connection):
        return value[::-1]


class MemberUser(UuidUser):
    """In two tables."""

    badge = BackwardsField(max_length=20, default="abc")

    def __str__(self):
        return f"{self.name} {self.badge}"
