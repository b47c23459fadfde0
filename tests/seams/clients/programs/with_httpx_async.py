import asyncio

import httpx
from talk import report, tell, told


async def main() -> None:
    async with httpx.AsyncClient(timeout=None) as client:
        for method, url, count in told():
            answers = await asyncio.gather(*(client.request(method, url) for _ in range(count)))
            report(
                [(answer.status_code, answer.text) for answer in answers],
                {cookie.name: cookie.value for cookie in client.cookies.jar},
            )


tell(f"httpx {httpx.__version__}, async")
asyncio.run(main())
