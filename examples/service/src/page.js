// Shows what the service answers. The cookies are sent, and refreshed, without this script.
const at = (id) => document.getElementById(id);

const began = performance.now();
const answer = await fetch("/rust/me", { cache: "no-store" });
const me = await answer.json();
at("took").textContent = (performance.now() - began).toFixed(0);
if (answer.ok) {
  at("status").textContent = `This service knows you as ${me.name}. So does the Django site.`;
  at("name").textContent = me.name;
  at("id").textContent = me.session;
  at("generation").textContent = me.generation;
  for (const id of ["user", "session"]) at(id).hidden = false;
  const socket = new WebSocket(`${location.origin.replace("http", "ws")}/rust/socket`);
  socket.onmessage = (message) => (at("socket").textContent = message.data);
  socket.onerror = () => (at("socket").textContent = "no answer");
} else {
  at("status").textContent = "No user is signed in, neither here nor at the Django site.";
  at("sign-in").hidden = false;
}
