// What a render server needs to fetch from Django as the browser's user: see docs/guides/server-rendering.md.

const DJANGO = process.env.DJANGO_URL;
const SECRET = process.env.RENDER_SERVER_SECRET; // JWTAUTH["RENDER_SERVER_SECRET"]; never in code that a browser gets

/**
 * Ask Django once for a page, with the browser's `Cookie` header. This is what refreshes the session.
 *
 * Returns `user`, or null; `headers`, pairs for the page's response; and `cookie`, for the fetches of this page.
 */
export async function ask(cookie) {
  const headers = [["vary", "Cookie"]];
  if (!/refresh_token=/.test(cookie)) return {user: null, headers, cookie};
  const answer = await fetch(`${DJANGO}/auth/me/`, {headers: {cookie}, cache: "no-store", redirect: "manual"});
  const body = await answer.text();
  if (answer.status >= 500) throw new Error(`Django answered ${answer.status}`);
  const setCookies = answer.headers.getSetCookie();
  headers.push(["cache-control", setCookies.length ? "no-store, private" : "private, no-cache"]);
  headers.push(...setCookies.map((value) => ["set-cookie", value]));
  return {user: answer.ok ? JSON.parse(body).user : null, headers, cookie: merged(cookie, setCookies)};
}

/** Fetch from Django for a page, with the `cookie` that `ask` returned. Its answer sets no cookie. */
export function fetchAs(cookie, path, options = {}) {
  if (!path.startsWith("/")) throw new TypeError("a path begins with /"); // the secret is for no other host
  const headers = new Headers(options.headers);
  if (cookie) headers.set("cookie", cookie);
  if (SECRET) headers.set("x-jwtauth-render-secret", SECRET);
  return fetch(`${DJANGO}${path}`, {cache: "no-store", redirect: "manual", ...options, headers});
}

const nameOf = (pair) => pair.split("=")[0].trim();

/** The browser's cookies, but those that are set now. */
function merged(cookie, setCookies) {
  const set = setCookies.map((value) => value.split(";")[0]);
  const names = new Set(set.map(nameOf));
  return [...cookie.split(";").filter((pair) => !names.has(nameOf(pair))), ...set].join("; ");
}
