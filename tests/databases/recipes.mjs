// The recipes of examples/rendering, each run as its framework runs it.
import {register} from "node:module";

const examples = new URL("../../examples/rendering/", import.meta.url).href;
const stub = (code) => `data:text/javascript,${encodeURIComponent(code)}`;
const modules = {
  "./django.mjs": `${examples}django.mjs`,
  "../utils/django.mjs": `${examples}django.mjs`,
  "$lib/server/django.mjs": `${examples}django.mjs`,
  "next/server": stub(`export const NextResponse = {
    next: ({request}) => Object.assign(new Response(null), {request}),
  };`),
  h3: stub(`export const defineEventHandler = (handler) => handler;
    export const getRequestHeader = (event, name) => event.headers[name];
    export const appendResponseHeader = (event, name, value) => event.response.push([name, value]);`),
};
// The examples are modules because of a front end's package.json.
register(
  stub(`const modules = ${JSON.stringify(modules)};
    export async function resolve(specifier, context, next) {
      const found = await next(modules[specifier] ?? specifier, context);
      return found.url.startsWith("file:") ? {...found, format: "module"} : found;
    }`),
);

const {proxy} = await import(`${examples}next/proxy.js`);
const {default: session} = await import(`${examples}nuxt/session.js`);
const {handle} = await import(`${examples}sveltekit/hooks.server.js`);
const {fetchAs} = await import(`${examples}django.mjs`);

const request = (cookie) => new Request("http://front.example/orders", {headers: {cookie}});

/** Each function takes the browser's cookies, and returns the page's headers and how the page fetches. */
export const recipes = {
  async next(cookie) {
    const response = await proxy(request(cookie));
    const forwarded = response.request.headers.get("cookie");
    return {headers: [...response.headers], get: (path) => fetchAs(forwarded, path)};
  },
  async nuxt(cookie) {
    const event = {path: "/orders", headers: {cookie}, context: {}, response: []};
    await session(event);
    return {headers: event.response, get: event.context.django};
  },
  async sveltekit(cookie) {
    const event = {request: request(cookie), locals: {}};
    const response = await handle({event, resolve: async () => new Response("page")});
    return {headers: [...response.headers], get: event.locals.django};
  },
};
