// What speaks for and against the certificate: labels, the look of traffic, reliabilities.

import { byId, el, percent, shortPercent } from "./dom.js";

export function drawMonitor(told) {
  byId("monitor-body").replaceChildren(verdict(told), labels(told), look(told), estimates(told));
}

function verdict({ certificate, degraded, risk, traffic }) {
  const withdrawn = risk?.withdrawn ?? false;
  const unlike = traffic?.flagged ?? false;
  const [kind, text] = withdrawn
    ? ["bad", "Withdrawn: labels show a higher risk"]
    : !certificate.certified
      ? ["bad", "Not certified"]
      : unlike
        ? ["bad", "In doubt: traffic looks different"]
        : ["good", "Nothing speaks against it"];
  return el(
    "p",
    {},
    el("span", { class: `badge ${kind}` }, text),
    degraded.length > 0 ? el("span", { class: "note" }, ` degraded: ${degraded.join(", ")}`) : null,
  );
}

function labels({ risk, sampling_share: share }) {
  if (risk === null) return row("Labels", "no ledger is kept, so labels cannot count");
  const drawn = share === null ? "" : ` Of accepted answers ${shortPercent(share)} are drawn for it.`;
  const bar = scale(Math.max(0, Math.log(Math.max(risk.e_value, 1)) / Math.log(risk.threshold)), risk.withdrawn, `Evidence against it ${risk.e_value.toPrecision(3)} of ${risk.threshold.toPrecision(3)}`);
  return row("Labels", `${risk.n_wrong} wrong of ${risk.n_labels} that count, ${risk.n_others} others.${drawn}`, bar, `evidence against it ${risk.e_value.toPrecision(3)}, withdrawn at ${risk.threshold.toPrecision(3)}`);
}

function look({ traffic }) {
  if (traffic === null) return row("Look of the images", "this bundle cannot tell");
  if (traffic.n_windows === 0) return row("Look of the images", `the first window of ${traffic.window} images is not full yet`);
  return row("Look of the images", `${traffic.n_flagged} of ${traffic.n_windows} windows of ${traffic.window} unlike what was certified; p of the last ${traffic.p_value?.toPrecision(2) ?? "–"}`);
}

function estimates({ traffic, certificate }) {
  const accuracy = traffic?.accuracy ?? null;
  const risk = traffic?.accepted_risk ?? null;
  if (accuracy === null && risk === null) return row("Without labels", "no estimate yet");
  const told = [];
  if (accuracy !== null) told.push(`accuracy about ${percent(accuracy.value)} (${percent(accuracy.low)} – ${percent(accuracy.high)})`);
  if (risk !== null) told.push(`wrong among accepted about ${percent(risk.value)} (up to ${percent(risk.high)}), certified: at most ${shortPercent(certificate.target_risk)}`);
  return row("Without labels", `${told.join("; ")}. An estimate from reliabilities, no bound.`);
}

function row(name, text, ...more) {
  return el("div", { class: "row" }, el("h3", {}, name), el("p", {}, text), ...more.map((each) => (typeof each === "string" ? el("p", { class: "note" }, each) : each)));
}

function scale(share, alarming, told) {
  const fill = el("span", { class: `fill ${alarming ? "short" : "enough"}` });
  fill.style.width = `${100 * Math.min(1, share)}%`;
  return el("span", { class: "meter", role: "img", "aria-label": told }, fill);
}
