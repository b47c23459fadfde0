// A client that stores tokens, and proves with each request that it has the key to which they are bound.
// See docs/guides/dpop.md. Needs `npm install jose`. Runs in browsers, and in Node 20 or newer.
import { SignJWT, base64url, exportJWK, generateKeyPair } from "jose";

/** A login. The private key cannot be exported, so a script can use it but not copy it. */
export interface Login { key: CryptoKeyPair; access: string; refresh: string; expiresAt: number }

/** Where a login is kept. In a browser, that is IndexedDB, which stores such keys; `localStorage` cannot. */
export interface Store { load(): Promise<Login | undefined>; save(login: Login | undefined): Promise<void> }

/** The session has ended, or there is none. */
export class SignInAgain extends Error {}

export class Client {
  skew = 0; // milliseconds from this machine's clock to the server's
  #nonces = new Map<string, string>(); // the newest of each origin
  #refreshing?: Promise<Login>;

  /** `auth` is the URL of the site's ready-made views, such as `https://api.example.com/auth/`. */
  constructor(readonly auth: string, readonly store: Store) {}

  /** Start a session that is bound to a new key. */
  async signIn(username: string, password: string): Promise<void> {
    const key = await generateKeyPair("ES256"); // not extractable
    const answer = await this.#post(key, "token/", { username, password });
    if (!answer.ok) throw new Error(`the login was answered with ${answer.status}`);
    await this.#save(key, answer);
  }

  /** Send a request with the access token, which is refreshed before it expires. */
  async call(url: string, options: RequestInit = {}): Promise<Response> {
    let login = await this.#load();
    if (Date.now() > login.expiresAt - 10_000) login = await this.#refresh();
    const answer = await this.#send(login.key, url, options, login.access);
    if ((await code(answer)) !== "token_not_valid") return answer;
    login = await this.#refresh(); // it has ended early
    return this.#send(login.key, url, options, login.access);
  }

  /** End the session. */
  async signOut(): Promise<void> {
    const { key, refresh } = await this.#load();
    const answer = await this.#post(key, "token/revoke/", { token: refresh });
    if (!answer.ok) throw new Error(`the logout was answered with ${answer.status}`);
    await this.store.save(undefined);
  }

  /** Get the next pair of tokens, once for all calls that wait for it. */
  #refresh(): Promise<Login> {
    return (this.#refreshing ??= this.#next().finally(() => (this.#refreshing = undefined)));
  }

  async #next(): Promise<Login> {
    const { key, refresh } = await this.#load();
    const answer = await this.#post(key, "token/refresh/", { refresh });
    if (answer.status === 401) throw new SignInAgain();
    if (!answer.ok) throw new Error(`${answer.status}: try again later`); // keep the tokens
    return this.#save(key, answer);
  }

  #post(key: CryptoKeyPair, path: string, body: object): Promise<Response> {
    const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    return this.#send(key, this.auth + path, options);
  }

  /** Send a request with a proof, and again if the server wants a nonce or this machine's clock is wrong. */
  async #send(key: CryptoKeyPair, url: string, options: RequestInit, token?: string): Promise<Response> {
    const { origin, pathname } = new URL(url);
    const mended = new Set<string>();
    for (;;) {
      const claims: Record<string, string> = { htm: options.method ?? "GET", htu: origin + pathname };
      const nonce = this.#nonces.get(origin);
      if (nonce) claims.nonce = nonce;
      const headers = new Headers(options.headers);
      if (token) {
        headers.set("Authorization", `DPoP ${token}`);
        const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token));
        claims.ath = base64url.encode(new Uint8Array(hash));
      }
      const header = { typ: "dpop+jwt", alg: "ES256", jwk: await exportJWK(key.publicKey) };
      const proof = new SignJWT(claims).setProtectedHeader(header).setJti(crypto.randomUUID());
      proof.setIssuedAt(Math.floor((Date.now() + this.skew) / 1000));
      headers.set("DPoP", await proof.sign(key.privateKey));
      // A proof is for one URL, so it is not valid after a redirect. No cookie is sent.
      const answer = await fetch(url, { ...options, headers, redirect: "error", credentials: "omit" });
      const next = answer.headers.get("DPoP-Nonce");
      if (next) this.#nonces.set(origin, next);
      const reason = await code(answer);
      if (!reason || mended.has(reason)) return answer;
      if (reason !== "use_dpop_nonce" && !this.#setsClock(reason, answer)) return answer;
      mended.add(reason);
    }
  }

  /** Return whether the proof was refused and the clock was wrong by more than a minute. Then correct it. */
  #setsClock(reason: string, answer: Response): boolean {
    const date = answer.headers.get("Date");
    if (reason !== "invalid_dpop_proof" || !date) return false;
    const skew = Date.parse(date) - Date.now();
    const wasWrong = Math.abs(skew - this.skew) > 60_000;
    if (wasWrong) this.skew = skew;
    return wasWrong;
  }

  /** Another tab may have refreshed the tokens since, so they are loaded for each call. */
  async #load(): Promise<Login> {
    const login = await this.store.load();
    if (!login) throw new SignInAgain();
    return login;
  }

  async #save(key: CryptoKeyPair, answer: Response): Promise<Login> {
    const { access, refresh, access_expires_in, token_type } = await answer.json();
    if (token_type !== "DPoP") throw new Error("the server has ignored the proof");
    const login = { key, access, refresh, expiresAt: Date.now() + access_expires_in * 1000 };
    await this.store.save(login);
    return login;
  }
}

/** Return why a request was refused. */
async function code(answer: Response): Promise<string | undefined> {
  if (answer.status !== 400 && answer.status !== 401) return undefined;
  return answer.clone().json().then((body) => body?.code, () => undefined);
}
