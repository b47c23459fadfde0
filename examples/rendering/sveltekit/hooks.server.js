// src/hooks.server.js; django.mjs is in src/lib/server/
import {ask, fetchAs} from "$lib/server/django.mjs";

export async function handle({event, resolve}) {
  const page = await ask(event.request.headers.get("cookie") ?? "");
  event.locals.user = page.user;
  event.locals.django = (path, options) => fetchAs(page.cookie, path, options);
  const response = await resolve(event);
  for (const [name, value] of page.headers) response.headers.append(name, value);
  return response;
}
