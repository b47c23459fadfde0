// Sends the requests of `batch`, a constant that the page defines, and reports to the page's server when it is done.
"use strict";

// The limits for requests that do not report their end and, after all others have ended, for those that are blocked.
const [PATIENCE_MS, GRACE_MS] = batch.is_complete ? [120000, 120000] : [5000, 1500];
const STEP_MS = 50;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function bodyOf({type, fields}) {
  if (type === null) return undefined;
  if (type === "multipart/form-data") {
    const data = new FormData();
    for (const field of Object.entries(fields)) data.append(...field);
    return data;
  }
  const isForm = type === "application/x-www-form-urlencoded";
  return new Blob([isForm ? String(new URLSearchParams(fields)) : JSON.stringify(fields)], {type});
}

function optionsOf(request) {
  const headers = request.header ? {"X-Requested-With": "XMLHttpRequest"} : {};
  const {method, mode} = request;
  const options = {method, mode, headers, credentials: "include", keepalive: request.initiator === "keepalive"};
  if (method !== "GET") options.body = bodyOf(request);
  return options;
}

// The first form of the document, which is put in a frame, in a window or in place of the page.
function form(request, target) {
  const made = document.createElement("form");
  Object.assign(made, {method: request.method, action: request.url, target});
  if (request.type) made.enctype = request.type;
  for (const [name, value] of Object.entries(request.fields)) {
    made.append(Object.assign(document.createElement("input"), {type: "hidden", name, value}));
  }
  document.body.append(made);
  return made;
}

function frame(attributes) {
  const made = Object.assign(document.createElement("iframe"), attributes);
  made.style.display = "none";
  document.body.append(made); // WebKit reports the load of the empty page at once
  return new Promise((resolve) => made.addEventListener("load", resolve));
}

// A document that posts a form by script.
function poster(request) {
  const inputs = Object.entries(request.fields).map(([name, value]) => `<input name="${name}" value="${value}">`);
  const type = request.type ? `enctype="${request.type}"` : "";
  const start = `<form method="${request.method}" action="${request.url.replaceAll("&", "&amp;")}" ${type}>`;
  return `<!doctype html>${start}${inputs.join("")}</form><script>document.forms[0].submit()<\/script>`;
}

function socket(request) {
  return new Promise((resolve) => {
    const opened = new WebSocket(request.url.replace(/^http/, "ws"));
    opened.onopen = () => opened.send("write");
    opened.onclose = opened.onerror = resolve;
  });
}

const windows = [];

const initiators = {
  fetch: (request) => fetch(request.url, optionsOf(request)),
  keepalive: (request) => fetch(request.url, optionsOf(request)),
  xhr(request) {
    const xhr = new XMLHttpRequest();
    xhr.open(request.method, request.url);
    xhr.withCredentials = true;
    if (request.header) xhr.setRequestHeader("X-Requested-With", "XMLHttpRequest");
    xhr.send(bodyOf(request));
    return new Promise((resolve) => { xhr.onloadend = resolve; });
  },
  async worker(request) {
    const {body, ...options} = optionsOf(request);
    const send = "onmessage = async ({data: [url, options, body]}) => {"
      + "try { await fetch(url, {...options, body}) } catch {} postMessage(0) }";
    const worker = new Worker(URL.createObjectURL(new Blob([send], {type: "text/javascript"})));
    const answered = new Promise((resolve) => { worker.onmessage = worker.onerror = resolve; });
    worker.postMessage([request.url, options, body instanceof FormData ? String(new URLSearchParams(request.fields)) : body]);
    await answered;
  },
  async beacon(request) { navigator.sendBeacon(request.url, bodyOf(request)); },
  socket,
  form(request) {
    const name = `frame-${request.id}`;
    const loaded = frame({name});
    form(request, name).submit();
    return loaded;
  },
  // It hides this page, whose timers run slowly until it is closed.
  async window(request) {
    const name = `window-${request.id}`;
    windows.push(window.open("about:blank", name));
    form(request, name).submit();
  },
  sandbox: (request) => frame({sandbox: "allow-scripts allow-forms", srcdoc: poster(request)}),
  srcdoc: (request) => frame({srcdoc: poster(request)}),
  data: (request) => frame({src: `data:text/html,${encodeURIComponent(poster(request))}`}),
  blob: (request) => frame({src: URL.createObjectURL(new Blob([poster(request)], {type: "text/html"}))}),
  async ping(request) {
    const link = Object.assign(document.createElement("a"), {href: "#", ping: request.url});
    document.body.append(link);
    link.click();
  },
  // The page's headers name the address for the report of this image.
  report: () => new Promise((resolve) => { Object.assign(new Image(), {src: "/no-image", onload: resolve, onerror: resolve}); }),
  // Navigates the page.
  async link(request) {
    const link = Object.assign(document.createElement("a"), {href: request.url});
    document.body.append(link);
    link.click();
  },
  async page(request) { form(request, "_self").submit(); },
};

async function send(request) {
  try {
    await Promise.race([initiators[request.initiator](request), pause(PATIENCE_MS)]);
  } catch {
    // A network error for the page, or blocked by the browser: the server knows what arrived.
  }
}

async function arrived() {
  try {
    return (await (await fetch(batch.arrived)).json()).length;
  } catch {
    return 0;
  }
}

async function all() {
  while (await arrived() < batch.cases.length) await pause(STEP_MS);
}

async function run() {
  const ended = Promise.all(batch.cases.map(send));
  await Promise.race([all(), ended.then(() => pause(GRACE_MS))]);
  for (const opened of windows) opened?.close();
  await fetch(batch.done, {method: "POST", mode: "no-cors"});
}

const button = document.querySelector("#go");
const [first] = batch.cases;
if (batch.click && first.initiator === "link") {
  button.replaceWith(Object.assign(document.createElement("a"), {id: "go", href: first.url, textContent: "Go"}));
} else if (batch.click && first.initiator === "page") {
  const own = form(first, "_self");
  button.remove();
  own.append(Object.assign(document.createElement("button"), {id: "go", textContent: "Go"}));
} else {
  button.addEventListener("click", run, {once: true});
  // Not before the load: a driver that waits for the load of a page that was left waits long.
  if (!batch.click) addEventListener("load", () => setTimeout(run));
}
