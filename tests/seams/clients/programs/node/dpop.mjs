// `node dpop.mjs dpop.js`: drives the compiled examples/clients/dpop.ts. Each line of input is a list: what to do, and
// with what. Each line of output has the result or the error, and the requests that it took.
import { createInterface } from "node:readline";

const { Client } = await import(process.argv[2]);

let kept;
const store = { load: async () => kept, save: async (login) => void (kept = login) };
let client;

let requests = [];
const send = globalThis.fetch;
globalThis.fetch = async (url, options) => {
  const answer = await send(url, options);
  const { pathname, search } = new URL(url);
  requests.push([pathname + search, answer.status]);
  return answer;
};
const now = Date.now;

const steps = {
  start: (auth) => void (client = new Client(auth, store)),
  sign_in: (name, password) => client.signIn(name, password),
  call: async (...urls) => {
    const answers = await Promise.all(urls.map((url) => client.call(url)));
    return Promise.all(answers.map((answer) => answer.json()));
  },
  sign_out: () => client.signOut(),
  tokens: () => ({ access: kept.access, refresh: kept.refresh }),
  change: (values) => void Object.assign(kept, values),
  set_clock: (seconds) => void (Date.now = () => now() + 1000 * seconds),
  export_key: async () => crypto.subtle.exportKey("jwk", kept.key.privateKey),
};

for await (const line of createInterface({ input: process.stdin })) {
  const [step, ...values] = JSON.parse(line);
  requests = [];
  const said = await Promise.resolve()
    .then(() => steps[step](...values))
    .then((result) => ({ result: result ?? null }), (error) => ({ error: error.constructor.name }));
  console.log(JSON.stringify({ ...said, requests }));
}
