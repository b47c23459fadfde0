"""Each proxy with the configurations of docs/guides/deployment.md, and with others that sites use."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.databases.served import ROOT, certificate
from tests.databases.servers import free_port
from tests.seams.proxies.proxies import Command, caddy, haproxy, nginx, running, varnish
from tests.test_startproject import example

PAGE = ROOT / "docs/guides/deployment.md"


class Door(NamedTuple):
    """An address at which a proxy, in one configuration, leads to a site."""

    package: str
    name: str
    # The version of HTTP on the client's side: "1.1", "2" or "3".
    http: str = "1.1"
    tls: bool = False
    # The site behind it: "gunicorn", "hypercorn", or "faulty", which forwards to gunicorn.
    site: str = "gunicorn"

    @property
    def id(self) -> str:
        return f"{self.package} {self.name}"


# At each of these doors, a user signs in, refreshes and uploads.
DOORS = [
    Door("nginx", "HTTP/1.1"),
    Door("nginx", "HTTP/1.1 without request buffering"),
    Door("nginx", "HTTP/2", http="2", tls=True),
    Door("haproxy", "HTTP/1.1"),
    Door("haproxy", "HTTP/2", http="2", tls=True),
    Door("haproxy", "HTTP/2 on both sides", http="2", tls=True, site="hypercorn"),
    Door("caddy", "HTTP/1.1"),
    Door("caddy", "HTTP/2", http="2", tls=True),
    Door("caddy", "HTTP/2 on both sides", http="2", tls=True, site="hypercorn"),
    Door("caddy", "HTTP/3", http="3", tls=True),
    Door("varnish", "HTTP/1.1"),
]
# Doors that cache.
CACHES = [
    Door("nginx", "cache"),
    Door("nginx", "cache that keeps all"),
    Door("nginx", "cache as documented"),
    Door("varnish", "HTTP/1.1"),
    Door("varnish", "cache"),
    Door("varnish", "cache as documented"),
]
# Doors that repeat a request that gets no answer.
RETRYING = [Door(package, "retry", site="faulty") for package in ("nginx", "haproxy", "caddy", "varnish")]
# A door that does not pass Host on.
WITHOUT_HOST = Door("nginx", "without Host")
FORWARDED_HOST = Door("nginx", "X-Forwarded-Host", site="hypercorn")
# A door with nginx's default buffer for a response's headers.
SMALL_BUFFER = Door("nginx", "default buffers")


class Place(NamedTuple):
    """The folder and ports of the doors: the sites' ports by name, the doors' by id."""

    folder: Path
    sites: dict[str, int]
    ports: dict[str, int]
    # A certificate and its key, in one file.
    pem: Path

    @classmethod
    def make(cls, folder: Path, **sites: int) -> Place:
        return cls(folder, sites, defaultdict(free_port), certificate(folder))

    def url(self, door: Door) -> str:
        return f"http{'s' if door.tls else ''}://127.0.0.1:{self.ports[door.id]}"

    def site(self, door: Door) -> str:
        return f"127.0.0.1:{self.sites[door.site]}"

    @contextmanager
    def opened(self, package: str) -> Iterator[None]:
        """Run this proxy with all its doors."""
        with ExitStack() as stack:
            for command, ports in COMMANDS[package](self):
                stack.enter_context(running(command, self.folder / f"{package}.log", *ports))
            yield


def replace(text: str, *pairs: tuple[str, str]) -> str:
    """Replace each text, which must occur."""
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


NGINX_CACHE = "proxy_cache site; proxy_cache_valid 200 10m;"
NGINX_CACHES = {
    "cache": NGINX_CACHE,
    "cache that keeps all": (
        "proxy_cache site; proxy_cache_valid any 10m; proxy_cache_revalidate on; proxy_cache_background_update on;"
        "proxy_cache_use_stale updating error timeout http_500 http_502 http_503;"
    ),
}


def doors_of_nginx(place: Place) -> Iterator[tuple[Command, list[int]]]:
    page = example(PAGE, "nginx")
    buffers = "    proxy_buffer_size 16k;\n    proxy_buffers 8 16k;\n"
    host = "    proxy_set_header Host $http_host;\n"

    def server(door: Door, *pairs: tuple[str, str]) -> str:
        tls = " ssl http2" if door.tls else ""
        return replace(
            page,
            ("listen 443 ssl http2;", f"listen 127.0.0.1:{place.ports[door.id]}{tls};"),
            ("/etc/ssl/example.com.pem", str(place.pem)),
            ("/etc/ssl/example.com.key", str(place.pem)),
            ("127.0.0.1:8000", place.site(door)),
            *pairs,
        )

    plain, unbuffered, tls = (door for door in DOORS if door.package == "nginx")
    (retry,) = (door for door in RETRYING if door.package == "nginx")
    caches = [door for door in CACHES if door.package == "nginx"]
    texts = [
        f"proxy_cache_path {place.folder / 'cache'} keys_zone=site:1m;\n",
        f"upstream faulty {{ server {place.site(retry)} max_fails=0; server {place.site(retry)} backup; }}\n",
        server(plain),
        server(
            unbuffered, (buffers, "    proxy_request_buffering off; proxy_buffering off; proxy_http_version 1.1;\n")
        ),
        server(tls),
        server(WITHOUT_HOST, (host, "")),
        server(FORWARDED_HOST, (host, "    proxy_set_header X-Forwarded-Host $http_host;\n")),
        server(SMALL_BUFFER, (buffers, "")),
        server(retry, (f"http://{place.site(retry)}", "http://faulty")),
    ]
    for door in caches:
        key = f"    proxy_cache_key '{door.name}$request_uri';\n"
        added = NGINX_CACHES.get(door.name) or example(PAGE, "nginx cache")
        texts.append(server(door, (host, f"{host}{key}{added}\n")))
    doors = [plain, unbuffered, tls, WITHOUT_HOST, FORWARDED_HOST, SMALL_BUFFER, retry, *caches]
    yield nginx(place.folder, "".join(texts)), [place.ports[door.id] for door in doors]


def doors_of_haproxy(place: Place) -> Iterator[tuple[Command, list[int]]]:
    page = example(PAGE, "haproxy")
    defaults, rest = page.split("frontend", 1)
    texts = [defaults]
    doors = [door for door in (*DOORS, *RETRYING) if door.package == "haproxy"]
    for number, door in enumerate(doors):
        secure = f" ssl crt {place.pem} alpn h2,http/1.1" if door.tls else ""
        texts.append(
            replace(
                f"frontend{rest}",
                ("frontend https", f"frontend https{number}"),
                ("default_backend site", f"default_backend site{number}"),
                ("\nbackend site", f"\nbackend site{number}"),
                (
                    "bind :443 ssl crt /etc/ssl/example.com.pem alpn h2,http/1.1",
                    f"bind 127.0.0.1:{place.ports[door.id]}{secure}",
                ),
                ("127.0.0.1:8000", place.site(door) + (" proto h2" if door.site == "hypercorn" else "")),
            )
        )
        if door.site == "hypercorn":
            texts.append("    http-request set-header X-Forwarded-Host %[req.hdr(host)]\n")
        if door.site == "faulty":
            texts.append("    retry-on all-retryable-errors\n    retries 3\n")
    yield haproxy(place.folder, "".join(texts)), [place.ports[door.id] for door in doors]


def doors_of_caddy(place: Place) -> Iterator[tuple[Command, list[int]]]:
    page = example(PAGE, "Caddyfile")
    texts = []
    doors = [door for door in (*DOORS, *RETRYING) if door.package == "caddy"]
    for door in doors:
        secure = f"\n    tls {place.pem} {place.pem}" if door.tls else ""
        site = f"h2c://{place.site(door)}" if door.site == "hypercorn" else place.site(door)
        retry = " {\n        lb_try_duration 10s\n    }" if door.site == "faulty" else ""
        texts.append(
            replace(page, ("example.com {", f"{place.url(door)} {{{secure}"), ("127.0.0.1:8000", f"{site}{retry}"))
        )
    options = "    auto_https off\n    default_sni 127.0.0.1\n"
    yield caddy(place.folder, "".join(texts), options), [place.ports[door.id] for door in doors]


def doors_of_varnish(place: Place) -> Iterator[tuple[Command, list[int]]]:
    plain = next(door for door in DOORS if door.package == "varnish")
    yield varnish(place.folder, place.ports[plain.id], "-b", place.site(plain)), [place.ports[plain.id]]
    (retry,) = (door for door in RETRYING if door.package == "varnish")
    caches = [door for door in CACHES if door.package == "varnish" and door != plain]
    for door in (retry, *caches):
        page = example(PAGE, "varnish")
        text = replace(page, ('"8000"', f'"{place.sites[door.site]}"'))
        added = {
            "retry": "sub vcl_backend_error { return (retry); }\n",
            "cache": (
                'sub vcl_recv { if (req.method == "GET") { return (hash); } }\n'
                "sub vcl_backend_response { if (beresp.status == 200) { set beresp.ttl = 10m; } }\n"
            ),
        }.get(door.name, "")
        if added:
            text = text[: text.index("sub vcl_recv")] + added
        file = place.folder / f"{door.name.replace(' ', '-')}.vcl"
        file.write_text(text)
        yield varnish(place.folder, place.ports[door.id], "-f", str(file)), [place.ports[door.id]]


COMMANDS = {
    "nginx": doors_of_nginx,
    "haproxy": doors_of_haproxy,
    "caddy": doors_of_caddy,
    "varnish": doors_of_varnish,
}
