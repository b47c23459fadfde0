// src/routes/orders/+page.server.js
export async function load({locals}) {
  const answer = await locals.django("/api/orders/");
  return {orders: await answer.json()};
}
