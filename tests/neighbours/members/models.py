"""A user model of several classes, by django-polymorphic."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models
from polymorphic.managers import PolymorphicManager
from polymorphic.models import PolymorphicModel


class Manager(PolymorphicManager, UserManager):
    """Add Django's methods for users to the polymorphic manager."""

    use_in_migrations = False


class Member(PolymorphicModel, AbstractUser):
    objects = Manager()


class Student(Member):
    number = models.CharField(max_length=9)
