// `node client.mjs fetch|axios|got`: each with a tough-cookie jar.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import axios from "axios";
import { wrapper } from "axios-cookiejar-support";
import fetchCookie from "fetch-cookie";
import got from "got";
import { CookieJar } from "tough-cookie";

const jar = new CookieJar();

const fetchWithJar = fetchCookie(fetch, jar);
const axiosWithJar = wrapper(axios.create({ jar, validateStatus: null, responseType: "text", transformResponse: [] }));
const gotWithJar = got.extend({ cookieJar: jar, throwHttpErrors: false, retry: { limit: 0 } });

const clients = {
  async fetch(method, url) {
    const answer = await fetchWithJar(url, { method });
    return { status: answer.status, body: await answer.text() };
  },
  async axios(method, url) {
    const answer = await axiosWithJar.request({ method, url });
    return { status: answer.status, body: answer.data };
  },
  async got(method, url) {
    const answer = await gotWithJar(url, { method });
    return { status: answer.statusCode, body: answer.body };
  },
};

function version(name) {
  const file = new URL(`node_modules/${name}/package.json`, import.meta.url);
  return `${name} ${JSON.parse(readFileSync(file)).version}`;
}

const name = process.argv[2];
const node = `Node ${process.versions.node}`;
console.log([name === "fetch" ? `fetch of ${node}` : version(name), version("tough-cookie")].join(", "));
for await (const line of createInterface({ input: process.stdin })) {
  const [method, url, count] = line.split(" ");
  const requests = Array.from({ length: Number(count) }, () => clients[name](method, url));
  const answers = await Promise.all(requests);
  const cookies = Object.fromEntries((await jar.getCookies(url)).map(({ key, value }) => [key, value]));
  console.log(JSON.stringify({ answers, cookies }));
}
