// Versions and aliases of the registry, with promote and rollback.

import { get, post, problem } from "./api.js";
import { ago, byId, el } from "./dom.js";

const EVERY_MS = 3000;
let setup = null;
let timer = 0;

export function showVersions(given) {
  setup = given;
  follow();
}

export function stopVersions() {
  clearTimeout(timer);
}

async function follow() {
  clearTimeout(timer);
  try {
    draw(await get("admin/versions"));
    problem(null);
  } catch (error) {
    draw(null);
    problem(error);
  }
  if (!byId("tab-versions").hidden) timer = setTimeout(follow, EVERY_MS);
}

function draw(registry) {
  const parts = [decides()];
  if (registry === null || registry.model === null) {
    parts.push(el("p", { class: "note" }, "This service was started with a directory. Start it with models:/NAME@champion to follow a registry."));
  } else {
    parts.push(...notices(registry), table(registry));
  }
  const place = byId("versions-body");
  // Whoever is on a button stays there when the table is drawn again.
  const focused = place.contains(document.activeElement) ? document.activeElement.dataset.action : null;
  place.replaceChildren(...parts);
  if (focused) place.querySelector(`[data-action="${focused}"]`)?.focus();
}

function decides() {
  const { certificate, versions } = setup;
  const row = (name, ...told) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, ...told));
  return el(
    "div",
    { class: "panel" },
    el("h2", {}, "What decides here"),
    el(
      "table",
      { class: "plain facts" },
      el("caption", { class: "hidden" }, "What decides here"),
      el(
        "tbody",
        {},
        row("classifier", versions.classifier),
        row("bundle", el("code", {}, versions.bundle)),
        row("certificate", certificate.certified ? "certified" : "not certified"),
        row("software", `gatekeeper ${versions.gatekeeper}`),
      ),
    ),
  );
}

function notices(registry) {
  const told = [];
  if (registry.problem) told.push(`The registry cannot be asked now, what was served goes on: ${registry.problem}`);
  if (registry.refused) told.push(`The version behind the alias is not served: ${registry.refused}`);
  if (registry.on_probation) told.push("The served version is on probation: it is undone if it fails on images.");
  return told.map((text) => el("p", { class: "notice" }, text));
}

function table(registry) {
  const rows = registry.versions.map((version) => {
    const champion = version.aliases.includes("champion");
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, String(version.version)),
      el(
        "td",
        {},
        version.served ? el("span", { class: "badge good" }, "serving") : null,
        ...version.aliases.map((alias) => el("span", { class: "badge restore" }, alias)),
        version.refused ? el("span", { class: "badge bad", title: version.refused }, "refused") : null,
      ),
      el("td", {}, { true: "yes", false: "no", null: "not looked at" }[String(version.certified)]),
      el("td", {}, version.golden ?? "not looked at"),
      el("td", {}, ago(version.created_ms / 1000)),
      el("td", {}, el("code", {}, version.bundle.slice(0, 12))),
      el(
        "td",
        {},
        champion
          ? null
          : el("button", { type: "button", "data-action": `promote-${version.version}`, onclick: () => promote(registry, version.version) }, "Promote", el("span", { class: "hidden" }, ` version ${version.version}`)),
      ),
    );
  });
  return el(
    "div",
    { class: "panel" },
    el(
      "div",
      { class: "headline" },
      el("h2", {}, `${registry.model}${registry.alias ? `@${registry.alias}` : ""}`),
      el("button", { type: "button", "data-action": "rollback", onclick: () => rollBack(registry) }, "Roll back"),
    ),
    el(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": "Versions" },
      el(
        "table",
        { class: "versions" },
        el("thead", {}, el("tr", {}, ...["version", "is", "certified", "golden set", "registered", "bundle"].map((name) => el("th", { scope: "col" }, name)), el("td", {}))),
        el("tbody", {}, ...rows),
      ),
    ),
    el("p", { class: "note" }, "Both need a key of scope admin where keys are asked for. A promoted version is verified and decides its golden set before it takes over, a few seconds later."),
  );
}

function promote(registry, version) {
  sure(`Promote version ${version}?`, `${registry.model} version ${version} becomes the champion. It decides once it has proved itself.`, "Promote", () =>
    post("admin/versions/promote", { version }),
  );
}

function rollBack(registry) {
  sure("Roll back?", `The former champion of ${registry.model} becomes the champion again.`, "Roll back", () => post("admin/versions/rollback", {}));
}

function sure(title, text, action, change) {
  const yes = el("button", { type: "submit", value: "yes", class: "primary" }, action);
  const dialog = el(
    "dialog",
    { "aria-labelledby": "sure-title" },
    el("form", { method: "dialog" }, el("h2", { id: "sure-title" }, title), el("p", {}, text), el("div", { class: "buttons" }, yes, el("button", { type: "submit", value: "no" }, "Leave it"))),
  );
  dialog.addEventListener("close", async () => {
    dialog.remove();
    if (dialog.returnValue !== "yes") return;
    try {
      draw(await change());
      problem(null);
    } catch (error) {
      problem(error);
    }
  });
  document.body.append(dialog);
  dialog.showModal();
}
