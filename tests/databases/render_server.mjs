// A server that renders pages as the guide says, or in the way that the path names: node render_server.mjs PORT.
import {createServer} from "node:http";
import {ask as askOnce, fetchAs} from "../../examples/rendering/django.mjs";
import {recipes} from "./recipes.mjs";

const FETCHES = 4;

/** Tries again if the connection fails: gunicorn closes idle connections, perhaps just then. */
async function retrying(call, tries = 5) {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof TypeError) || tries === 1) throw error;
    return retrying(call, tries - 1);
  }
}

const ask = (cookie) => retrying(() => askOnce(cookie));

/** Fetches once, and once more if the connection was aborted. */
async function fetched(get, broken) {
  if (broken) {
    const abort = new AbortController();
    const first = get("/me/", {signal: abort.signal}).then((answer) => answer.text());
    setTimeout(() => abort.abort(), Math.random() * 8);
    await first.catch(() => {});
  }
  return retrying(async () => {
    const answer = await get("/me/");
    const body = await answer.text();
    return answer.status === 200 ? 200 : `${answer.status} ${body}`;
  });
}

/** Makes all fetches of a page at once. With `broken`, one of them is aborted and repeated. */
const all = (get, {broken = false} = {}) =>
  Promise.all(Array.from({length: FETCHES}, (_, index) => fetched(get, broken && index === 0)));

const together = (cookie, options) => all((path, options) => fetchAs(cookie, path, options), options);

const ways = {
  /** As the guide says. */
  async guide(cookie) {
    const page = await ask(cookie);
    return {headers: page.headers, fetches: await together(page.cookie)};
  },
  /** As the guide says; one fetch is aborted and repeated. */
  async retried(cookie) {
    const page = await ask(cookie);
    return {headers: page.headers, fetches: await together(page.cookie, {broken: true})};
  },
  /** Refreshes only if the browser has no access token. */
  async sparing(cookie) {
    return /access_token=/.test(cookie) ? {headers: [], fetches: await together(cookie)} : ways.guide(cookie);
  },
  /** Refreshes and fetches at once, with the browser's cookies. */
  async parallel(cookie) {
    const [page, fetches] = await Promise.all([ask(cookie), together(cookie)]);
    return {headers: page.headers, fetches};
  },
  /** Uses the new cookies itself and does not return them to the browser. */
  async dropped(cookie) {
    const page = await ask(cookie);
    return {headers: [], fetches: await together(page.cookie)};
  },
  /** Never refreshes. */
  async silent(cookie) {
    return {headers: [], fetches: await together(cookie)};
  },
  /** As the guide says, but the response is lost. */
  async lost(cookie) {
    await ways.guide(cookie);
    return null;
  },
};

for (const [name, recipe] of Object.entries(recipes)) {
  ways[name] = async (cookie) => {
    const page = await retrying(() => recipe(cookie));
    return {headers: page.headers, fetches: await all(page.get)};
  };
}

const server = createServer(async (request, response) => {
  try {
    const page = await ways[request.url.slice(1)](request.headers.cookie ?? "");
    if (page === null) return request.socket.destroy();
    for (const [name, value] of page.headers) response.appendHeader(name, value);
    response.end(JSON.stringify(page.fetches));
  } catch (error) {
    response.statusCode = 500;
    response.end(String(error.stack));
  }
});
server.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("ready"));
