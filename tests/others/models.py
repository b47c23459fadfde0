"""User models with a UUID or text as key, without a password, in two tables, or with an address as user name.

The accounts are for Rust services, which need a column `is_active`: users with each kind of key.
"""

import uuid

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models

import jwtauth.models  # noqa: F401  # a user model's module may, although the user model is not there yet


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
    """A field that is stored backwards, which only Django's converters reverse."""

    def get_prep_value(self, value):
        return value[::-1]

    def from_db_value(self, value, expression, connection):
        return value[::-1]


class MemberUser(UuidUser):
    """A user whose row spans two tables."""

    badge = BackwardsField(max_length=20, default="abc")

    def __str__(self):
        return f"{self.name} {self.badge}"


class Team(models.Model):
    name = models.CharField(max_length=50)

    def __str__(self):
        return self.name


class WithTeam(BaseUserManager):
    def get_queryset(self):
        return super().get_queryset().select_related("team")


class EmailUser(AbstractBaseUser):
    """A user who signs in by an address; there is no field ``username``."""

    email = models.EmailField(unique=True)
    team = models.ForeignKey(Team, models.CASCADE)
    is_active = models.BooleanField(default=True)
    objects = WithTeam()

    USERNAME_FIELD = "email"


class Account(AbstractBaseUser):
    name = models.CharField(max_length=50, unique=True)
    is_active = models.BooleanField(default=True)

    USERNAME_FIELD = "name"

    class Meta:
        abstract = True


class NumberAccount(Account):
    id = models.BigAutoField(primary_key=True)


class UuidAccount(Account):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)


class TextAccount(Account):
    id = models.CharField(max_length=50, primary_key=True)
