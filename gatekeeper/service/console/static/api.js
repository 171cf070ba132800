// Requests to the service that gave this page, with the key where one was typed.

import { byId } from "./dom.js";

const ROOT = new URL("../../", import.meta.url);
let key = "";
let declined = false; // whoever closed the dialog is not asked again until they open it

export const address = (path) => new URL(path, ROOT);

export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export async function ask(path, { method = "GET", body, signal } = {}) {
  const headers = {};
  if (key) headers["X-API-Key"] = key;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(address(path), {
      method,
      headers,
      signal,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "omit",
      referrerPolicy: "no-referrer",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, "The service does not answer. Is it still running?");
  }
  if (!answer.ok) throw new Refusal(answer.status, await sentence(answer));
  return answer;
}

export const get = async (path, options) => (await ask(path, options)).json();
export const post = async (path, body, options = {}) =>
  (await ask(path, { ...options, method: "POST", body })).json();

async function sentence(answer) {
  try {
    const body = await answer.json();
    return body.error.message ?? body.error;
  } catch {
    return `The service answered ${answer.status}.`;
  }
}

export function problem(error) {
  const place = byId("problem");
  place.hidden = !error;
  place.textContent = error ? error.message : "";
  if (error && !declined && (error.status === 401 || error.status === 403)) askForKey(error.message);
}

function askForKey(why) {
  const dialog = byId("key-dialog");
  if (why) byId("key-why").textContent = `${why}. The key stays in this page's memory.`;
  if (!dialog.open) dialog.showModal();
}

export function wireKey(again) {
  const dialog = byId("key-dialog");
  byId("key-button").addEventListener("click", () => askForKey(""));
  dialog.addEventListener("close", () => {
    const field = byId("key");
    if (dialog.returnValue === "use") key = field.value.trim();
    if (dialog.returnValue === "forget") key = "";
    field.value = "";
    declined = !dialog.returnValue;
    byId("key-button").textContent = key ? "Key ✓" : "Key";
    if (dialog.returnValue) again();
    dialog.returnValue = "";
  });
}
