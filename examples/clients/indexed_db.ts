// Where a page keeps its login, which all tabs of its origin share: see docs/guides/dpop.md.
import type { Login, Store } from "./dpop.js";

export const indexedDb: Store = {
  load: () => use("readonly", (logins) => logins.get("login")),
  save: async (login) => void (await use("readwrite", (logins) => logins.put(login, "login"))),
};

async function use<T>(mode: IDBTransactionMode, act: (logins: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const opening = indexedDB.open("dpop", 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore("logins");
  const database = await resultOf(opening);
  try {
    return await resultOf(act(database.transaction("logins", mode).objectStore("logins")));
  } finally {
    database.close();
  }
}

function resultOf<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
