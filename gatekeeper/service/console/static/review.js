// Labelling with the keyboard: one image, one key, the next.

import { ask, get, post, problem, wireKey } from "./api.js";
import { ago, byId, el, percent, picture, shortPercent } from "./dom.js";

const KEYS = "1234567890";
const REMEMBERED = 8;

let state = null;
let current = null; // {decision_id, taken}
let shownUri = null;
let busy = false;
let count = 0;
let done = [];

async function load() {
  try {
    state = await get("console/api/review");
    problem(null);
  } catch (error) {
    problem(error);
    if (error.status === 503) setTimeout(load, 1000);
    return;
  }
  byId("off").hidden = state.enabled;
  byId("after").hidden = !state.enabled;
  tiles();
  if (state.enabled) await show(state.next[0] ?? null);
}

function tiles() {
  if (!state.enabled) return;
  const rows = [
    ["Abstentions waiting", state.abstained, state.share < 1 ? `a random ${shortPercent(state.share)} of all` : "all of them"],
    ["Accepted answers waiting", state.accepted, "drawn at random; these judge the certificate"],
    ["Labelled", state.labelled, `kept for ${state.keep_days} days`],
    ["Room", Math.max(0, state.max_images - state.abstained - state.accepted - state.labelled), `of ${state.max_images}` + (state.refused ? `, ${state.refused} turned away` : "")],
  ];
  byId("tiles").replaceChildren(
    ...rows.map(([name, value, note]) =>
      el("div", { class: "tile" }, el("dt", {}, name), el("dd", {}, el("span", { class: "value" }, value.toLocaleString("en")), el("span", { class: "note" }, note))),
    ),
  );
}

async function show(item) {
  current = item;
  byId("labelling").hidden = item === null && done.length === 0;
  byId("skip").disabled = item === null;
  if (shownUri) URL.revokeObjectURL(shownUri);
  shownUri = null;
  if (item === null) {
    byId("frame").replaceChildren(el("p", { class: "muted" }, "Nothing waits. New images come with traffic."));
    byId("about").textContent = "";
    classes();
    return;
  }
  try {
    const answer = await ask(`console/api/review/picture?decision_id=${encodeURIComponent(item.decision_id)}`);
    shownUri = URL.createObjectURL(await answer.blob());
    byId("frame").replaceChildren(picture(shownUri, "The image to label", 336));
    byId("frame").dataset.shown = String((count += 1));
    byId("about").textContent = `Received ${ago(item.taken)}.`;
    classes();
  } catch (error) {
    if (error.status === 404) await load();
    else problem(error);
  }
}

function classes() {
  const wanted = byId("find").value.trim().toLowerCase();
  const buttons = state.class_names
    .map((name, label) => ({ name, label }))
    .filter(({ name }) => name.toLowerCase().includes(wanted))
    .slice(0, 60)
    .map(({ name, label }, at) =>
      el(
        "button",
        { type: "button", class: "class", disabled: current === null, onclick: () => give(label) },
        at < KEYS.length ? el("kbd", { "aria-hidden": "true" }, KEYS[at]) : null,
        el("span", {}, name),
      ),
    );
  byId("classes").replaceChildren(...buttons);
}

async function give(label) {
  if (current === null || busy) return;
  busy = true;
  const item = current;
  try {
    const body = { decision_id: item.decision_id, label, reviewer: byId("reviewer").value.trim() };
    const told = await feedback(body);
    const given = await post("console/api/review/label", body);
    done.unshift({ ...given, item, told });
    done = done.slice(0, REMEMBERED);
    byId("find").value = "";
    problem(null);
    list();
    await load();
  } catch (error) {
    problem(error);
    if (error.status === 404) await load();
  }
  busy = false;
}

// The ledger of recent decisions gets the label first; one that it has forgotten may still train.
async function feedback(body) {
  try {
    const { counted } = await post("v1/feedback", body);
    return counted ? ", which counts for the certificate" : "";
  } catch (error) {
    if (error.status === 404) return ", unknown to the ledger, so it does not count for the certificate";
    if (error.status === 409) return "; the certificate keeps the first label";
    throw error;
  }
}

async function skip() {
  if (current === null || busy) return;
  busy = true;
  try {
    await post("console/api/review/skip", { decision_id: current.decision_id });
  } catch (error) {
    problem(error);
  }
  busy = false;
  await load();
}

async function undo() {
  const last = done.shift();
  if (!last) return;
  list();
  await show(last.item);
}

function list() {
  byId("undo").disabled = done.length === 0;
  byId("none").hidden = done.length > 0;
  byId("done").replaceChildren(
    ...done.map((each) => {
      const said = each.answered_class === null ? "no answer" : each.right ? "the same" : each.answered_class;
      const kept = each.kind === "accepted" ? "had accepted" : "had kept back";
      return el("li", {}, el("strong", {}, each.class_name), ` – the gate ${kept} ${said} at ${percent(each.reliability)}${each.told}`);
    }),
  );
}

async function save(form) {
  try {
    const answer = await ask(`console/api/review/export?form=${form}`);
    const uri = URL.createObjectURL(await answer.blob());
    el("a", { href: uri, download: `gatekeeper-labels.${form}` }).click();
    setTimeout(() => URL.revokeObjectURL(uri), 10000);
    problem(null);
  } catch (error) {
    problem(error);
  }
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("key-dialog").open) return;
  const typing = event.target.matches("input");
  if (event.key === "Escape" && typing) event.target.blur();
  if (typing) {
    if (event.key === "Enter" && event.target.id === "find") byId("classes").firstElementChild?.click();
    return;
  }
  const at = KEYS.indexOf(event.key);
  if (at >= 0) byId("classes").children[at]?.click();
  else if (event.key === "s") skip();
  else if (event.key === "u") undo();
  else if (event.key === "/") byId("find").focus();
  else return;
  event.preventDefault();
}

byId("find").addEventListener("input", classes);
byId("skip").addEventListener("click", skip);
byId("undo").addEventListener("click", undo);
for (const each of document.querySelectorAll("[data-export]")) {
  each.addEventListener("click", () => save(each.dataset.export));
}
addEventListener("keydown", onKey);
wireKey(load);
load();
