// This script shows what happens. Signing in, refreshing and signing out need no JavaScript: the requests below are ordinary
// ones, and any other request would have the same effect.
"use strict";

const page = document.getElementById("page");
const at = (id) => document.getElementById(id);
let expiresAt = Number(page.dataset.expiresAt);
const lifetime = expiresAt - Number(page.dataset.issuedAt);
let skew = Date.now() / 1000 - Number(page.dataset.now); // of this browser's clock against the server's
let burstWaits = false;
let isAsking = false;
let quietUntil = 0; // after a request that brought no new token, wait: asking four times a second helps no user
let theft = null; // the generation of the stolen token, and since when the browser has had a newer one
let hasEnded = false;

const serverNow = () => Date.now() / 1000 - skew;

const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const DATE = { day: "numeric", month: "short", ...CLOCK };
const format = (date, options) => new Intl.DateTimeFormat("en-GB", options).format(date);

// Without the browser's cache, which would send requests for the same address one after the other: here they must race.
const ask = (url, method = "GET") => fetch(url, { method, cache: "no-store" });

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

function labelled(cell, label) {
  cell.dataset.label = label;
  return cell;
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
      labelled(element("td", entry.generation, "number"), "No."),
      labelled(element("td", entry.statements, "number"), "SQL"),
      labelled(element("td", entry.milliseconds.toFixed(1), "number"), "ms"),
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
    // There is no log now. It is shown after the next request.
  } finally {
    isAsking = false;
    if (expiresAt <= serverNow()) quietUntil = Date.now() + 5000;
  }
}

function say(text) {
  if (at("state").textContent !== text) at("state").textContent = text; // screen readers read out each change
}

// A stolen token. The server keeps the copy, for no script can read the cookie.
async function steal() {
  at("steal").disabled = true;
  at("steal").textContent = "The theft is under way";
  try {
    const answer = await ask(page.dataset.copy, "POST");
    if (!answer.ok) throw new Error(answer.status);
    theft = { ...await answer.json(), newerSince: 0 };
    at("theft").hidden = false;
    step("copied", "done", `No.\u00a0${theft.generation}`);
  } catch {
    theft = null;
    at("steal").disabled = false;
    at("steal").textContent = "Steal my token";
  }
}

function step(name, state, text) {
  const item = at(`theft-${name}`);
  item.className = state;
  if (item.lastElementChild.textContent !== text) item.lastElementChild.textContent = text;
}

function followTheft(left) {
  if (Number(at("generation").textContent) <= theft.generation) {
    step("refreshed", "now", `in ${Math.max(0, Math.ceil(left))} s, when the access token has expired`);
    return;
  }
  theft.newerSince ||= Date.now();
  step("refreshed", "done", `No.\u00a0${at("generation").textContent}`);
  const wait = page.dataset.grace - (Date.now() - theft.newerSince) / 1000;
  step("used", "now", `in ${Math.max(0, Math.ceil(wait))} s: until then it counts as a late request`);
  if (wait <= 0 && !isAsking) useCopy();
}

async function useCopy() {
  isAsking = true;
  try {
    const answer = await ask(page.dataset.use, "POST");
    const found = await answer.json();
    if (answer.ok) showTheft(found);
    else theft.newerSince = Date.now() - (page.dataset.grace - (found.wait ?? 1)) * 1000;
  } catch {
    theft.newerSince = Date.now(); // the server does not answer; try again later
  } finally {
    isAsking = false;
  }
}

function showTheft({ request, status, body, log }) {
  hasEnded = true;
  page.classList.add("ended");
  step("used", "done", `answered with ${status}`);
  at("theft-summary").textContent =
    "Found. The old token came back while the new one was in use, so the session has ended. The thief got nothing.";
  at("theft-request").textContent = `${request}\n${status} ${body}`;
  at("theft-log").textContent = log.join("\n");
  at("theft-result").hidden = false;
  at("steal").textContent = "Found";
  at("burst").disabled = true;
  at("burst").textContent = "Fire ten at expiry";
  at("left").textContent = 0;
  at("meter").style.transform = "scaleX(0)";
  say("The session has ended.");
}

// Until the Rust service is built, Django answers for it. Asked only while the token is valid, so that the refresh, which
// any request may bring about, is left to the requests that the page shows.
async function askService() {
  let text = "It does not answer.";
  let again = true;
  if (serverNow() < expiresAt - 1 && !hasEnded) {
    try {
      const began = performance.now();
      const answer = await ask(at("service").dataset.url);
      const said = await answer.json();
      const took = `${(performance.now() - began).toFixed(0)} ms`;
      again = said.state === "building";
      text = again ? "The Rust service is being compiled, which takes some minutes the first time. It appears here by itself."
        : said.state ? "The Rust service does not run. The terminal with make run says why."
        : answer.ok ? `A service in Rust (axum) reads the same cookies and the same table. It knows you as ${said.name} (answered in ${took}).`
        : "The Rust service does not know you.";
      at("service-link").hidden = Boolean(said.state);
    } catch {
      // The address is being handed to it.
    }
    at("service").textContent = text;
  }
  if (again && !hasEnded) setTimeout(askService, 2000);
}

// Stolen cookies of a session that is bound to a device, and of one that is not. The server keeps both copies.
async function stealBoth() {
  at("binding-steal").disabled = true;
  at("binding-summary").textContent = "";
  for (const cell of at("binding").querySelectorAll("td[id]")) cell.textContent = "";
  try {
    if (!(await ask(page.dataset.bindingCopy, "POST")).ok) throw new Error();
    at("binding").hidden = false;
    await showStolen("now");
    for (let left = Math.ceil(lifetime) + 1; left > 0; left--) {
      for (const name of ["free", "bound"]) at(`binding-${name}-later`).textContent = `in ${left} s`;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    const { free, bound } = await showStolen("later");
    if (free.renewed && bound.code === "device_proof_required") at("binding-summary").textContent =
      "The thief has new tokens of the session that is not bound, and nothing of the other.";
  } catch {
    at("binding-summary").textContent = "The server does not answer. Try again.";
  }
  at("binding-steal").disabled = false;
}

async function showStolen(when) {
  const response = await ask(page.dataset.bindingUse, "POST");
  if (!response.ok) throw new Error(response.status);
  const answers = await response.json();
  for (const [name, { status, code, renewed }] of Object.entries(answers)) {
    at(`binding-${name}-${when}`).textContent = `${status}: ${code ?? (renewed ? "signed in, with new tokens" : "signed in")}`;
  }
  return answers;
}

function tick() {
  if (hasEnded) return;
  const left = expiresAt - serverNow();
  const expired = left <= 0;
  page.classList.toggle("expired", expired);
  at("left").textContent = Math.max(0, Math.ceil(left));
  at("meter").style.transform = `scaleX(${Math.min(1, Math.max(0, left / lifetime))})`;
  say(!expired ? "Valid. Requests are let in."
    : Date.now() < quietUntil ? "The server does not answer. The page asks again in a moment."
    : "Expired. The next request gets a new one by itself.");
  if (theft) followTheft(left);
  // A moment later, so that the eye can follow.
  if (left < -1.5 && !isAsking && Date.now() >= quietUntil) atExpiry();
}

at("burst").addEventListener("click", () => {
  burstWaits = true;
  at("burst").disabled = true;
  at("burst").textContent = "Waiting for the token to expire";
});
at("steal").addEventListener("click", steal);
at("binding-steal").addEventListener("click", stealBoth);
for (const time of document.querySelectorAll("time")) time.textContent = format(new Date(time.dateTime), DATE);
if (at("service")) askService();
setInterval(tick, 250);
tick();
showLog().catch(() => {});
