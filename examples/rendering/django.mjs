// What a render server needs to fetch from Django as the browser's user: see docs/guides/server-rendering.md.

const DJANGO = process.env.DJANGO_URL;
const SECRET = process.env.RENDER_SERVER_SECRET; // JWTAUTH["RENDER_SERVER_SECRET"]; never in code that a browser gets

/**
 * Ask Django once for a page, with the browser's `Cookie` header. This is what refreshes the session.
 *
 * Returns `user`, or null; `headers`, pairs for the page's response; and `cookie`, for the fetches of this page.
 */
export async function ask(cookie) {
  if (!/refresh_token=/.test(cookie)) return {user: null, headers: [], cookie};
  const answer = await fetch(`${DJANGO}/auth/me/`, {headers: {cookie}, cache: "no-store"});
  const body = await answer.text();
  if (answer.status >= 500) throw new Error(`Django answered ${answer.status}`);
  const setCookies = answer.headers.getSetCookie();
  const headers = setCookies.map((value) => ["set-cookie", value]);
  if (headers.length) headers.push(["cache-control", "no-store, private"]);
  return {user: answer.ok ? JSON.parse(body).user : null, headers, cookie: merged(cookie, setCookies)};
}

/** Fetch from Django for a page, with the `cookie` that `ask` returned. Its answer sets no cookie. */
export function fetchAs(cookie, path, options = {}) {
  const headers = new Headers(options.headers);
  if (cookie) headers.set("cookie", cookie);
  if (SECRET) headers.set("x-jwtauth-render-secret", SECRET);
  return fetch(`${DJANGO}${path}`, {cache: "no-store", ...options, headers});
}

function merged(cookie, setCookies) {
  const pairs = [...cookie.split(";"), ...setCookies.map((value) => value.split(";")[0])].map((pair) => pair.trim());
  const newest = new Map(pairs.filter(Boolean).map((pair) => [pair.split("=")[0], pair]));
  return [...newest.values()].join("; ");
}
