"""Queries of a project about times of sessions, and their results as Python computes them."""

from collections import Counter
from datetime import datetime, timedelta, timezone
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core import serializers
from django.db import transaction
from django.db.models import Count, F, Max
from django.db.models.functions import ExtractHour, TruncDate

from jwtauth.internal.store import clock as _clock
from jwtauth.models import Session

DAY = 86_400


def transitions(zone):
    """Return the Unix times at which this zone's clocks are set within a year."""
    start = int(datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp())
    hours = [start + hour * 1800 for hour in range(365 * 48)]
    offsets = [datetime.fromtimestamp(at, zone).utcoffset() for at in hours]
    return [at for at, before, after in zip(hours[1:], offsets, offsets[1:], strict=False) if before != after]


def disagreements(user, zone, at):
    """Return the names of the queries whose results are wrong, in the local time of this zone.

    They are about a session that began in each half hour of the two days around this Unix time.
    """
    Session.objects.all().delete()
    began = {UUID(int=number + 1): at + number * 1800 - DAY for number in range(96)}
    Session.objects.bulk_create(made(pk, user, moment) for pk, moment in began.items())
    checks = {name.removeprefix("of_"): check for name, check in globals().items() if name.startswith("of_")}
    with transaction.atomic():  # otherwise each write waits for the disk
        return [name for name, check in checks.items() if not check(user, zone, at, began)]


def made(pk, user, began):
    times = {name: _clock.to_datetime(began) for name in ("created_at", "rotated_at", "last_seen_at")}
    ends = _clock.to_datetime(began + DAY)
    return Session(pk=pk, user=user, generation=1, expires_at=ends, auth_hash="", remember=True, **times)


def having(**conditions):
    return set(Session.objects.filter(**conditions).values_list("pk", flat=True))


def local(began, zone):
    return {pk: datetime.fromtimestamp(moment, zone) for pk, moment in began.items()}


def of_comparisons(user, zone, at, began):
    found = True
    for moment in (at - 5400, at - 1800, at, at + 1, at + 1800, at + 5400):
        for value in (_clock.to_datetime(moment), datetime.fromtimestamp(moment, timezone.utc)):
            found &= having(created_at__gt=value) == {pk for pk, start in began.items() if start > moment}
            found &= having(created_at__lte=value) == {pk for pk, start in began.items() if start <= moment}
            found &= having(expires_at=value) == {pk for pk, start in began.items() if start + DAY == moment}
            found &= having(created_at__in=[value]) == {pk for pk, start in began.items() if start == moment}
    between = [_clock.to_datetime(at - 3600), _clock.to_datetime(at + 3600)]
    return found & (having(created_at__range=between) == {pk for pk, start in began.items() if abs(start - at) <= 3600})


def of_order(user, zone, at, began):
    found = Session.objects.order_by("created_at").values_list("created_at", flat=True)
    return [_clock.from_datetime(value) for value in found] == sorted(began.values())


def of_dates(user, zone, at, began):
    days = {pk: value.date() for pk, value in local(began, zone).items()}
    found = all(
        having(created_at__date=day) == {pk for pk, other in days.items() if other == day} for day in set(days.values())
    )
    return found and list(Session.objects.dates("created_at", "day")) == sorted(set(days.values()))


def of_parts(user, zone, at, began):
    parts = local(began, zone)
    one = datetime.fromtimestamp(at, zone)
    found = {
        "hour": having(created_at__hour=one.hour) == {pk for pk, value in parts.items() if value.hour == one.hour},
        "year": having(created_at__year=one.year) == {pk for pk, value in parts.items() if value.year == one.year},
        "month": having(created_at__month__gte=one.month)
        == {pk for pk, value in parts.items() if value.month >= one.month},
    }
    return all(found.values())


def of_days(user, zone, at, began):
    days = Counter(value.date() for value in local(began, zone).values())
    ways = [
        Session.objects.values(day=TruncDate("created_at")),
        Session.objects.alias(of=TruncDate("created_at")).values(day=F("of")),
        Session.objects.values(day=TruncDate("created_at__local")),
        Session.objects.values(day=F("created_at__date")),
        get_user_model().objects.values(day=TruncDate("jwtauth_sessions__created_at__local")).filter(day__isnull=False),
    ]
    key = {Session: "pk", get_user_model(): "jwtauth_sessions__pk"}
    found = [dict(way.annotate(count=Count(key[way.model])).values_list("day", "count")) for way in ways]
    count = Session.objects.aggregate(count=Count(TruncDate("created_at"), distinct=True))["count"]
    midnights = [value.date() for value in Session.objects.datetimes("created_at", "day")]
    return found == [days] * len(ways) and midnights == sorted(days) and count == len(days)


def of_hours(user, zone, at, began):
    found = [
        dict(Session.objects.annotate(hour=ExtractHour(name) + 1).values_list("pk", "hour"))
        for name in ("created_at", "created_at__local")
    ]
    return found == 2 * [{pk: value.hour + 1 for pk, value in local(began, zone).items()}]


def of_others(user, zone, at, began):
    """Compare with a field of another table, which distinguishes both occurrences of an hour that occurs twice."""
    moment = at + 4 * 3600
    get_user_model().objects.filter(pk=user.pk).update(date_joined=_clock.to_datetime(moment))
    later = {pk for pk, start in began.items() if start > moment}
    day_after = Session.objects.annotate(then=F("created_at__local") + timedelta(days=1)).order_by("created_at")
    return having(created_at__local__gt=F("user__date_joined")) == later and (
        _clock.from_datetime(day_after.last().then) == max(began.values()) + DAY
    )


def of_differences(user, zone, at, began):
    lasting = Session.objects.annotate(lasts=F("expires_at") - F("created_at")).values_list("lasts", flat=True)
    return set(lasting) == {timedelta(days=1)} and having(expires_at__gt=F("created_at")) == set(began)


def of_aggregates(user, zone, at, began):
    newest = Session.objects.aggregate(Max("created_at"))["created_at__max"]
    of_users = get_user_model().objects.annotate(newest=Max("jwtauth_sessions__created_at")).get(pk=user.pk).newest
    return {_clock.from_datetime(value) for value in (newest, of_users)} == {max(began.values())}


def of_joins(user, zone, at, began):
    users, moment = get_user_model().objects, _clock.to_datetime(max(began.values()))
    day = max(local(began, zone).values()).date()
    found = users.filter(jwtauth_sessions__created_at=moment, jwtauth_sessions__created_at__date=day)
    return [one.pk for one in found] == [user.pk]


def of_updates(user, zone, at, began):
    Session.objects.update(last_seen_at=_clock.to_datetime(at))
    found = having(last_seen_at=_clock.to_datetime(at)) == set(began)
    Session.objects.update(last_seen_at=F("created_at"))
    found &= having(last_seen_at=F("created_at")) == set(began)
    sessions = list(Session.objects.all())
    for session in sessions:
        session.last_seen_at = session.expires_at
    Session.objects.bulk_update(sessions, ["last_seen_at"])
    return found & (having(last_seen_at=F("expires_at")) == set(began))


def of_instances(user, zone, at, began):
    ways = Session.objects.all(), Session.objects.raw("SELECT * FROM jwtauth_session"), Session.objects.iterator()
    found = [{one.pk: _clock.from_datetime(one.created_at) for one in way} for way in ways]
    for session in Session.objects.all()[:8]:
        session.save()
    return [*found, {one.pk: _clock.from_datetime(one.created_at) for one in Session.objects.all()}] == 4 * [began]


def of_fixtures(user, zone, at, began):
    text = serializers.serialize("json", Session.objects.filter(pk__in=list(began)[:8]))
    Session.objects.filter(pk__in=list(began)[:8]).delete()
    for one in serializers.deserialize("json", text):
        one.save()
    return {one.pk: _clock.from_datetime(one.created_at) for one in Session.objects.all()} == began
