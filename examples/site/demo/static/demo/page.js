// Shows what happens; makes nothing happen. Signing in, refreshing and signing out need no JavaScript: the requests below
// are ordinary ones, and whatever they bring about any other request would have.
"use strict";

const page = document.getElementById("page");
const at = (id) => document.getElementById(id);
const lifetime = Number(page.dataset.lifetime);
let expiresAt = Number(page.dataset.expiresAt);
let skew = Date.now() / 1000 - Number(page.dataset.now); // of this browser's clock against the server's
let burstWaits = false;
let isAsking = false;

const serverNow = () => Date.now() / 1000 - skew;

async function ping() {
  const response = await fetch(page.dataset.ping);
  if (response.status === 403) location.assign(page.dataset.signIn);
  const body = response.ok ? await response.json() : {};
  return { status: response.status, ...body };
}

function show(answer) {
  if (answer.status !== 200) return;
  skew = Date.now() / 1000 - answer.now;
  expiresAt = Math.max(expiresAt, answer.expires_at);
  at("generation").textContent = answer.generation;
}

function element(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

async function showLog() {
  const response = await fetch(page.dataset.log);
  if (!response.ok) return;
  const { requests } = await response.json();
  at("log").replaceChildren(...requests.map((entry) => {
    const row = document.createElement("tr");
    row.append(
      element("td", new Date(entry.at * 1000).toLocaleTimeString()),
      element("td", `${entry.method} ${entry.path}`),
      element("td", entry.status),
      element("td", entry.outcome, entry.outcome.split(" ")[0]),
      element("td", entry.generation, "number"),
      element("td", entry.statements, "number"),
      element("td", entry.milliseconds.toFixed(1), "number"),
    );
    return row;
  }));
}

async function burst() {
  at("results").replaceChildren();
  const answers = await Promise.all(Array.from({ length: 10 }, async (_, index) => {
    const answer = await ping();
    const item = document.createElement("li");
    item.className = answer.status === 200 ? answer.outcome : "failed";
    item.append(element("b", `${index + 1}: ${answer.status}`), element("span", answer.outcome ?? "refused"));
    at("results").append(item);
    return answer;
  }));
  answers.forEach(show);
  at("burst").textContent = "Fire ten at expiry";
  at("burst").disabled = false;
}

// One request when the token has expired, or ten where the button asked for them.
async function atExpiry() {
  isAsking = true;
  try {
    if (burstWaits) {
      burstWaits = false;
      await burst();
    } else {
      show(await ping());
    }
    await showLog();
  } finally {
    isAsking = false;
  }
}

function tick() {
  const left = expiresAt - serverNow();
  const expired = left <= 0;
  page.classList.toggle("expired", expired);
  at("left").textContent = Math.max(0, Math.ceil(left));
  at("meter").style.transform = `scaleX(${Math.min(1, Math.max(0, left / lifetime))})`;
  at("state").textContent = expired
    ? "Expired. The next request refreshes it, without being told to."
    : "Good. Requests are answered after one query.";
  if (left < -1.5 && !isAsking) atExpiry(); // a moment later, so that the eye can follow
}

at("burst").addEventListener("click", () => {
  burstWaits = true;
  at("burst").disabled = true;
  at("burst").textContent = "Waiting for the token to expire";
});
setInterval(tick, 250);
tick();
showLog();
