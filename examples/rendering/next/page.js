// app/orders/page.js
import {headers} from "next/headers";
import {fetchAs} from "../../django.mjs";

export default async function Orders() {
  const cookie = (await headers()).get("cookie");
  const answer = await fetchAs(cookie, "/api/orders/");
  return answer.text();
}
