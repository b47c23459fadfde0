from concurrent.futures import ThreadPoolExecutor

import requests
from requests.adapters import HTTPAdapter
from talk import report, tell, told

tell(f"requests {requests.__version__}")
with requests.Session() as session, ThreadPoolExecutor(20) as pool:
    session.mount("http://", HTTPAdapter(pool_maxsize=20))
    for method, url, count in told():
        answers = list(pool.map(lambda _, method=method, url=url: session.request(method, url), range(count)))
        report([(answer.status_code, answer.text) for answer in answers], session.cookies.get_dict())
