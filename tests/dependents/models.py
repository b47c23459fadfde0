"""Tables of a project that refer to sessions, with each of Django's options. The tests that use them install them."""

from django.db import models

from jwtauth.models import Session


class Note(models.Model):
    """A note that is deleted with its session, and its lines with it."""

    session = models.ForeignKey(Session, models.CASCADE)

    def __str__(self):
        return str(self.pk)


class Line(models.Model):
    note = models.ForeignKey(Note, models.CASCADE)

    def __str__(self):
        return str(self.pk)


class Visit(models.Model):
    """A visit that outlives its session."""

    session = models.ForeignKey(Session, models.SET_NULL, null=True, related_name="+")

    def __str__(self):
        return str(self.pk)


class Receipt(models.Model):
    session = models.ForeignKey(Session, models.PROTECT)

    def __str__(self):
        return str(self.pk)


class Order(models.Model):
    session = models.ForeignKey(Session, models.RESTRICT, related_name="+")

    def __str__(self):
        return str(self.pk)


class Trace(models.Model):
    session = models.ForeignKey(Session, models.DO_NOTHING)

    def __str__(self):
        return str(self.pk)


class Seal(models.Model):
    """A seal that protects a note, and therefore its session."""

    note = models.ForeignKey(Note, models.PROTECT)

    def __str__(self):
        return str(self.pk)


ALL = [Note, Line, Visit, Receipt, Order, Trace, Seal]
