"""A client without a cookie jar: threads share a pair of tokens, and each refreshes it when its request gets 401."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from uuid import uuid4

from tests.databases.served import ACCESS_LIFETIME, GRACE, Site
from tests.seams.clients.play import AT_ONCE

PASSWORD = "a password of the tests"


@dataclass
class Refreshed:
    requests: int = 0
    # Refreshes that were answered with 401, or requests with the new token.
    signed_out: int = 0
    errors: int = 0
    # The generations that each round saw.
    generations: list[set[int]] = field(default_factory=list)
    # The statuses of the first pair after the grace, and then of the owner's pair.
    copied: int = 0
    after_copy: int = 0


def refresh_at_once(site: Site, rounds: int) -> Refreshed:
    """Let `AT_ONCE` tasks use the expired token at the same time, in this many rounds."""
    return asyncio.run(_refresh_at_once(site, rounds))


async def _refresh_at_once(site: Site, rounds: int) -> Refreshed:
    import httpx

    result = Refreshed()
    name = str(uuid4())
    user = f"from django.contrib.auth.models import User; User.objects.create_user('{name}', password='{PASSWORD}')"
    site.django("shell", "--no-imports", "--command", user)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{site.port}", timeout=None) as client:

        async def send(method: str, path: str, **options: object) -> httpx.Response:
            answer = await client.request(method, path, **options)
            result.requests += 1
            result.errors += answer.status_code >= 500
            return answer

        async def me(pair: dict) -> httpx.Response:
            return await send("GET", "/me/", headers={"Authorization": f"Bearer {pair['access']}"})

        async def refresh(pair: dict) -> httpx.Response:
            return await send("POST", "/auth/token/refresh/", json={"refresh": pair["refresh"]})

        async def task() -> int:
            """Do as the client of docs/guides/mobile.md does, and return the generation that it ends with."""
            nonlocal pair
            old = pair
            assert (await me(old)).status_code == 401
            renewed = await refresh(old)
            if renewed.status_code != 200:
                result.signed_out += 1
                return 0
            pair = renewed.json()
            answer = await me(pair)
            result.signed_out += answer.status_code != 200
            return answer.json().get("generation", 0)

        answer = await send("POST", "/auth/token/", json={"username": name, "password": PASSWORD})
        pair = first = answer.json()
        for _ in range(rounds):
            site.advance(ACCESS_LIFETIME + 1)
            result.generations.append(set(await asyncio.gather(*(task() for _ in range(AT_ONCE)))))
        site.advance(GRACE + 1)
        result.copied = (await refresh(first)).status_code
        result.after_copy = (await me(pair)).status_code
    return result
