// What is guaranteed, in words and numbers, and the reports beside the bundle.

import { address } from "./api.js";
import { byId, el, percent, shortPercent } from "./dom.js";

const SHARES = ["certified_coverage", "upper_bound", "tail_probability", "accept_raw_at", "accept_restored_at", "switch_margin"];
const NAMES = { n_certify: "images of certify", n_accepted: "accepted among them", n_wrong: "wrong among those" };

export function showReports({ certificate, facts, reports, versions }) {
  const sentence = certificate.certified
    ? `Among accepted answers at most ${shortPercent(certificate.target_risk)} are wrong, with ${shortPercent(certificate.confidence_level)} confidence, on the conditions below.`
    : facts.reason ?? "The policy of this bundle holds no certificate.";
  byId("reports-body").replaceChildren(
    el(
      "div",
      { class: `banner ${certificate.certified ? "good" : "bad"}` },
      el("h2", {}, certificate.certified ? "Certified" : "Not certified"),
      el("p", {}, sentence),
    ),
    el(
      "div",
      { class: "two" },
      el("div", { class: "panel" }, el("h2", {}, "Conditions it speaks of"), list(facts.conditions)),
      el("div", { class: "panel" }, el("h2", {}, "What it does not cover"), list(facts.not_covered)),
    ),
    el("div", { class: "two" }, numbers(facts, versions), el("div", { class: "column" }, pages(reports), groups(facts.groups))),
  );
}

// One claim over all conditions can hold where a claim about each alone does not.
function groups(rows) {
  if (!Array.isArray(rows) || rows.length === 0) return null;
  const cells = rows.map((row) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, row.name),
      el("td", {}, `${row.n_wrong} of ${row.n_accepted.toLocaleString("en")}`),
      el("td", {}, percent(row.upper_bound)),
      el("td", {}, el("span", { class: `badge ${row.certified ? "good" : "restore"}` }, row.certified ? "certified" : "not alone")),
    ),
  );
  return el(
    "div",
    { class: "panel" },
    el("h2", {}, "Each condition by itself"),
    el(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": "Each condition by itself" },
      el(
        "table",
        {},
        el("thead", {}, el("tr", {}, ...["condition", "wrong of accepted", "risk at most", "claim"].map((name) => el("th", { scope: "col" }, name)))),
        el("tbody", {}, ...cells),
      ),
    ),
  );
}

function list(told) {
  const items = Array.isArray(told) ? told : told ? [told] : [];
  if (items.length === 0) return el("p", { class: "muted" }, "Not stated in this bundle.");
  return el("ul", {}, ...items.map((text) => el("li", {}, String(text))));
}

function numbers(facts, versions) {
  const rows = [...Object.keys(NAMES), ...SHARES, "dataset", "procedure"]
    .filter((name) => ["number", "string"].includes(typeof facts[name]))
    .map((name) => {
      const value = facts[name];
      const told = SHARES.includes(name) ? percent(Math.min(1, value)) : typeof value === "number" ? value.toLocaleString("en") : value;
      return el("tr", {}, el("th", { scope: "row" }, NAMES[name] ?? name.replaceAll("_", " ")), el("td", {}, told));
    });
  rows.push(el("tr", {}, el("th", { scope: "row" }, "bundle"), el("td", {}, el("code", {}, versions.bundle))));
  return el("div", { class: "panel" }, el("h2", {}, "Certificate"), el("table", { class: "plain facts" }, el("caption", { class: "hidden" }, "Numbers of the certificate"), el("tbody", {}, ...rows)));
}

function pages(reports) {
  const links = reports.map((name) =>
    el("li", {}, el("a", { href: address(`console/reports/${name}`).href, target: "_blank", rel: "noopener" }, name.replace(".html", "")), " (opens in a new tab)"),
  );
  return el(
    "div",
    { class: "panel" },
    el("h2", {}, "Reports"),
    links.length > 0 ? el("ul", { class: "reports" }, ...links) : el("p", { class: "muted" }, "No report lies beside this bundle."),
  );
}
