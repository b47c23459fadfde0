// server/middleware/session.js; django.mjs is in server/utils/
import {appendResponseHeader, defineEventHandler, getRequestHeader} from "h3";
import {ask, fetchAs} from "../utils/django.mjs";

export default defineEventHandler(async (event) => {
  if (event.path.startsWith("/_nuxt/")) return;
  const page = await ask(getRequestHeader(event, "cookie") ?? "");
  event.context.user = page.user;
  event.context.django = (path, options) => fetchAs(page.cookie, path, options);
  for (const [name, value] of page.headers) appendResponseHeader(event, name, value);
});
