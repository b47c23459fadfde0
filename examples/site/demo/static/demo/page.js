// Shows what happens; makes nothing happen. Signing in, refreshing and signing out need no JavaScript: the requests below
// are ordinary ones, and whatever they bring about any other request would have.
"use strict";

const page = document.getElementById("page");
const at = (id) => document.getElementById(id);
let expiresAt = Number(page.dataset.expiresAt);
const lifetime = expiresAt - Number(page.dataset.issuedAt);
let skew = Date.now() / 1000 - Number(page.dataset.now); // of this browser's clock against the server's
let burstWaits = false;
let isAsking = false;
let quietUntil = 0; // after a request that brought no new token: nobody is served by asking four times a second

const serverNow = () => Date.now() / 1000 - skew;

const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const DATE = { day: "numeric", month: "short", ...CLOCK };
const format = (date, options) => new Intl.DateTimeFormat("en-GB", options).format(date);

// Past the browser's cache: it would send requests for the same address one after the other, and here they shall race.
const ask = (url) => fetch(url, { cache: "no-store" });

async function ping() {
  try {
    const response = await ask(page.dataset.ping);
    if (response.status === 403) location.assign(page.dataset.signIn);
    return { status: response.status, ...(response.ok ? await response.json() : {}) };
  } catch {
    return { status: "no answer" };
  }
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
  const response = await ask(page.dataset.log);
  if (!response.ok) return;
  const { requests } = await response.json();
  at("log").replaceChildren(...requests.map((entry) => {
    const row = document.createElement("tr");
    row.append(
      element("td", format(entry.at * 1000, CLOCK)),
      element("td", `${entry.method} ${entry.path}`),
      element("td", entry.outcome, entry.outcome.split(" ")[0]),
      element("td", entry.status),
      element("td", entry.generation, "number"),
      element("td", entry.statements, "number"),
      element("td", entry.milliseconds.toFixed(1), "number"),
    );
    return row;
  }));
}

async function burst() {
  at("summary").textContent = "";
  at("results").replaceChildren();
  const answers = await Promise.all(Array.from({ length: 10 }, async (_, index) => {
    const answer = await ping();
    const item = document.createElement("li");
    item.className = answer.status === 200 ? answer.outcome : "failed";
    item.append(element("b", `${index + 1}: ${answer.status}`), element("span", answer.outcome ?? "failed"));
    at("results").append(item);
    return answer;
  }));
  answers.forEach(show);
  const count = (isIt) => answers.filter(isIt).length;
  const good = count((answer) => answer.status === 200);
  const refreshed = count((answer) => answer.outcome === "refreshed");
  const signedOut = count((answer) => answer.status === 403);
  at("summary").textContent =
    `${good} of 10 answered, ${refreshed} refreshed, ${signedOut || "none"} signed out.`;
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
  } catch {
    // The log could not be had; it is shown after the next request.
  } finally {
    isAsking = false;
    if (expiresAt <= serverNow()) quietUntil = Date.now() + 5000;
  }
}

function say(text) {
  if (at("state").textContent !== text) at("state").textContent = text; // screen readers read out each change
}

function tick() {
  const left = expiresAt - serverNow();
  const expired = left <= 0;
  page.classList.toggle("expired", expired);
  at("left").textContent = Math.max(0, Math.ceil(left));
  at("meter").style.transform = `scaleX(${Math.min(1, Math.max(0, left / lifetime))})`;
  say(!expired ? "Good. Requests are answered after one query."
    : Date.now() < quietUntil ? "The server does not answer. The page asks again in a moment."
    : "Expired. The next request refreshes it, without being told to.");
  // A moment later, so that the eye can follow.
  if (left < -1.5 && !isAsking && Date.now() >= quietUntil) atExpiry();
}

at("burst").addEventListener("click", () => {
  burstWaits = true;
  at("burst").disabled = true;
  at("burst").textContent = "Waiting for the token to expire";
});
for (const time of document.querySelectorAll("time")) time.textContent = format(new Date(time.dateTime), DATE);
if (at("service")) {
  const service = at("service");
  const isUser = (me) => `It knows you as user ${me.user}, by the cookies of this site and without a word to Django.`;
  fetch(service.dataset.url)
    .then(async (answer) => { service.textContent = answer.ok ? isUser(await answer.json()) : "It knows nobody."; })
    .catch(() => { service.textContent = "It does not answer."; });
}
setInterval(tick, 250);
tick();
showLog().catch(() => {});
