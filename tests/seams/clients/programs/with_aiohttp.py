"""``with_aiohttp.py unsafe``: with a jar that accepts cookies of IP addresses."""

import asyncio
import sys

import aiohttp
from talk import report, tell, told

UNSAFE = "unsafe" in sys.argv[1:]


async def main() -> None:
    jar = aiohttp.CookieJar(unsafe=UNSAFE)
    async with aiohttp.ClientSession(cookie_jar=jar, timeout=aiohttp.ClientTimeout()) as session:

        async def request(method: str, url: str) -> tuple[int, str]:
            async with session.request(method, url) as answer:
                return answer.status, await answer.text()

        for method, url, count in told():
            answers = await asyncio.gather(*(request(method, url) for _ in range(count)))
            report(answers, {cookie.key: cookie.value for cookie in jar})


tell(f"aiohttp {aiohttp.__version__}" + (", CookieJar(unsafe=True)" if UNSAFE else ""))
asyncio.run(main())
