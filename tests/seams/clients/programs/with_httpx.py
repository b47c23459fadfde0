from concurrent.futures import ThreadPoolExecutor

import httpx
from talk import report, tell, told

tell(f"httpx {httpx.__version__}, sync")
with httpx.Client(timeout=None) as client, ThreadPoolExecutor(20) as pool:
    for method, url, count in told():
        answers = list(pool.map(lambda _, method=method, url=url: client.request(method, url), range(count)))
        report(
            [(answer.status_code, answer.text) for answer in answers],
            {cookie.name: cookie.value for cookie in client.cookies.jar},
        )
