// The console: tabs, what is served, and the parts behind each tab.

import { get, problem, wireKey } from "./api.js";
import { byId, el, shortPercent } from "./dom.js";
import { showReports } from "./reports.js";
import { startTraffic, stopTraffic } from "./traffic.js";
import { prepareTrying, startTrying } from "./try.js";
import { showVersions, stopVersions } from "./versions.js";

const TABS = ["try", "traffic", "versions", "reports"];
let setup = null;

function chosen() {
  const name = location.hash.slice(1);
  return TABS.includes(name) ? name : TABS[0];
}

function show() {
  const name = chosen();
  for (const each of TABS) {
    byId(`tab-${each}`).hidden = each !== name;
    const link = document.querySelector(`[data-tab="${each}"]`);
    if (each === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${byId(`${name}-title`).textContent} – gatekeeper console`;
  stopTraffic();
  stopVersions();
  problem(null);
  if (setup === null) return;
  if (name === "try") startTrying();
  if (name === "traffic") startTraffic(setup);
  if (name === "versions") showVersions(setup);
  if (name === "reports") showReports(setup);
}

function identity() {
  const { certificate, versions } = setup;
  const told = certificate.certified
    ? `Certified: at most ${shortPercent(certificate.target_risk)} wrong among accepted, at ` +
      `${shortPercent(certificate.confidence_level)} confidence`
    : "Not certified";
  byId("identity").replaceChildren(
    el("span", { class: `badge ${certificate.certified ? "good" : "bad"}` }, told),
    el("span", {}, el("span", { class: "muted" }, "classifier "), versions.classifier),
    el("span", {}, el("span", { class: "muted" }, "bundle "), el("code", {}, versions.bundle.slice(0, 12))),
    el("span", {}, el("span", { class: "muted" }, "gatekeeper "), versions.gatekeeper),
  );
}

async function begin() {
  try {
    setup = await get("console/api/setup");
    problem(null);
  } catch (error) {
    problem(error);
    if (error.status === 503) setTimeout(begin, 1000);
    return;
  }
  identity();
  prepareTrying(setup);
  show();
}

wireKey(begin);
addEventListener("served-changed", begin);
addEventListener("hashchange", () => {
  show();
  byId("main").focus({ preventScroll: true });
  scrollTo(0, 0);
});
show();
begin();
