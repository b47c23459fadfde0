"""Browsers that speak HTTP/1.1, 2 and 3 to a door, make many requests at once, and keep cookies."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

from tests.seams.proxies.doors import Door, Place
from tests.waiting import PATIENCE

Fields = list[tuple[str, str]]
Body = bytes | AsyncIterator[bytes] | None


class Answer(NamedTuple):
    status: int
    fields: Fields
    body: bytes

    def get(self, name: str) -> str | None:
        return next((value for key, value in self.fields if key == name), None)

    @property
    def cookies(self) -> dict[str, str]:
        """Return the cookies that the answer sets; those that it clears are empty."""
        found = SimpleCookie()
        for name, value in self.fields:
            if name == "set-cookie":
                found.load(value)
        return {name: morsel.value for name, morsel in found.items()}

    def json(self) -> dict:
        return json.loads(self.body)


class Visitor:
    """A browser at this door. Use it in ``async with``."""

    def __init__(self, place: Place, door: Door, address: str = "127.0.0.1", **headers: str) -> None:
        self.url = place.url(door)
        self.headers = {"user-agent": "a test", **headers}
        self.cookies: dict[str, str] = {}
        if door.http == "3":
            self.line: Line = Quic(place, self.url, address)
        else:
            self.line = Tcp(place, self.url, address, door.http)

    async def __aenter__(self) -> Visitor:
        await self.line.open()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.line.close()

    async def ask(self, path: str, method: str = "GET", body: Body = None, **headers: str) -> Answer:
        """Send a request as a page of the same origin does. Store the cookies of the answer."""
        sent = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if method not in ("GET", "HEAD"):
            sent.setdefault("origin", self.url)
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items() if value)
        if cookies:
            sent["cookie"] = cookies
        if isinstance(body, bytes):
            sent["content-length"] = str(len(body))
        answer = await self.line.exchange(method, path, sent, body)
        self.cookies |= answer.cookies
        return answer

    async def sign_in(self, user: int) -> Answer:
        return await self.ask(f"/login/?user={user}", "POST", b"{}", content_type="application/json")

    def expire(self) -> None:
        """Delete the access token, as a browser does at the end of Max-Age."""
        self.cookies.pop("access_token", None)


class Line:
    """A connection, or as many as are needed."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def exchange(self, method: str, path: str, headers: dict[str, str], body: Body) -> Answer:
        raise NotImplementedError


class Tcp(Line):
    """HTTP/1.1 with a connection for each simultaneous request, or HTTP/2 with one for all."""

    def __init__(self, place: Place, url: str, address: str, http: str) -> None:
        self.url, self.http = url, http
        self.transport = httpx.AsyncHTTPTransport(
            verify=ssl.create_default_context(cafile=str(place.pem)) if url.startswith("https") else False,
            http1=http == "1.1",
            http2=http == "2",
            local_address=address,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
        )

    async def close(self) -> None:
        await self.transport.aclose()

    async def exchange(self, method: str, path: str, headers: dict[str, str], body: Body) -> Answer:
        patience = httpx.Timeout(PATIENCE).as_dict()
        request = httpx.Request(
            method, self.url + path, headers=headers, content=body, extensions={"timeout": patience}
        )
        response = await self.transport.handle_async_request(request)
        try:
            content = await response.aread()
        finally:
            await response.aclose()
        assert response.http_version == f"HTTP/{self.http}"
        return Answer(response.status_code, [(k.lower(), v) for k, v in response.headers.multi_items()], content)


class Quic(QuicConnectionProtocol, Line):
    """HTTP/3, with a stream for each request."""

    def __init__(self, place: Place, url: str, address: str) -> None:
        self.at, self.address = urlsplit(url), address
        self.configuration = QuicConfiguration(alpn_protocols=H3_ALPN, server_name=self.at.hostname)
        self.configuration.load_verify_locations(str(place.pem))
        self.answers: dict[int, tuple[asyncio.Future, Fields, bytearray]] = {}

    async def open(self) -> None:
        super().__init__(QuicConnection(configuration=self.configuration))
        self.h3 = H3Connection(self._quic)
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(self.address, 0))
        self.connect((self.at.hostname, self.at.port))
        await self.wait_connected()

    async def close(self) -> None:
        QuicConnectionProtocol.close(self)
        await self.wait_closed()
        self.transport.close()

    async def exchange(self, method: str, path: str, headers: dict[str, str], body: Body) -> Answer:
        stream = self._quic.get_next_available_stream_id()
        done = asyncio.get_running_loop().create_future()
        self.answers[stream] = done, [], bytearray()
        start = {":method": method, ":scheme": self.at.scheme, ":authority": self.at.netloc, ":path": path}
        fields = [(name.encode(), value.encode()) for name, value in {**start, **headers}.items()]
        self.h3.send_headers(stream, fields, end_stream=body is None)
        if isinstance(body, bytes):
            self.h3.send_data(stream, body, end_stream=True)
        elif body is not None:
            async for part in body:
                self.h3.send_data(stream, part, end_stream=False)
                self.transmit()
            self.h3.send_data(stream, b"", end_stream=True)
        self.transmit()
        return await done

    def quic_event_received(self, event: object) -> None:
        for found in self.h3.handle_event(event):
            if not isinstance(found, HeadersReceived | DataReceived) or found.stream_id not in self.answers:
                continue
            done, fields, content = self.answers[found.stream_id]
            if isinstance(found, HeadersReceived):
                fields += [(name.decode(), value.decode()) for name, value in found.headers]
            else:
                content += found.data
            if found.stream_ended and not done.done():
                done.set_result(Answer(int(dict(fields)[":status"]), fields, bytes(content)))


async def parts(size: int) -> AsyncIterator[bytes]:
    """Yield a body of this size without stating its length first."""
    for _ in range(size // (1 << 16)):
        yield b"x" * (1 << 16)


def claims(token: str) -> dict:
    """Return a token's claims, without verifying it."""
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
