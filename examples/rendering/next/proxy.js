// proxy.js, beside app/ and django.mjs
import {NextResponse} from "next/server";
import {ask} from "./django.mjs";

export async function proxy(request) {
  const page = await ask(request.headers.get("cookie") ?? "");
  const headers = new Headers(request.headers);
  headers.set("cookie", page.cookie); // what `headers()` says in components and actions
  const response = NextResponse.next({request: {headers}});
  for (const [name, value] of page.headers) response.headers.append(name, value);
  return response;
}

export const config = {matcher: "/((?!_next/|favicon.ico).*)"};
