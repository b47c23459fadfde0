"""The sites behind the proxies."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from tests.databases.served import Site
from tests.databases.servers import free_port
from tests.seams.proxies.doors import Door, Place
from tests.seams.servers.table import HYPERCORN
from tests.waiting import PATIENCE


class Behind:
    """A site on gunicorn and one on hypercorn, each with its own database, and the doors that lead to them."""

    def __init__(self, folder: Path, users: int = 200) -> None:
        self.stack = ExitStack()
        self.sites: dict[str, Site] = {}
        self.users: dict[str, list[int]] = {}
        env = {"DJANGO_SETTINGS_MODULE": "tests.seams.proxies.settings"}
        forwarded = {"JWTAUTH_TEST_FORWARDED_HOST": "yes"}
        try:
            for name, options in {
                "gunicorn": {"env": env},
                "hypercorn": {"env": env | forwarded, "server": HYPERCORN, "workers": 1},
            }.items():
                database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / f"{name}.sqlite3")}
                site = Site(default=database | {"OPTIONS": {"timeout": PATIENCE}}, **options)
                self.sites[name] = self.stack.enter_context(site)
                self.users[name] = site.create_users(users)
        except BaseException:
            self.stack.close()
            raise
        self.sites["faulty"], self.users["faulty"] = self.sites["gunicorn"], self.users["gunicorn"]
        ports = {name: self.sites[name].port for name in ("gunicorn", "hypercorn")}
        self.place = Place.make(folder, **ports, faulty=free_port())

    def __enter__(self) -> Behind:
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()

    def at(self, door: Door) -> tuple[Place, Site, Door, int]:
        """Return the arguments of scenarios: the door, the site behind it, and a new user."""
        return self.place, self.sites[door.site], door, self.users[door.site].pop()

    def among_users(self, door: Door, count: int = 3) -> tuple[Place, Site, Door, list[int]]:
        """Return the same with several users."""
        return self.place, self.sites[door.site], door, [self.users[door.site].pop() for _ in range(count)]
