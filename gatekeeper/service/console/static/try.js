// Trying an image out: what was asked last is what is shown.

import { post, problem } from "./api.js";
import { byId, el, milliseconds, percent, picture, svg } from "./dom.js";

const SWEEP_AFTER_MS = 120;
const MAX_BYTES = 20_000_000;

let setup = null;
let source = null; // {sample} or {image}
let running = null;
let sweepTimer = 0;
let swept = null; // what the chart below shows: {key, points}
let count = 0;

export function prepareTrying(given) {
  const first = setup === null;
  setup = given;
  fillCorruptions();
  fillSamples();
  if (first) wire();
}

export function startTrying() {
  if (source === null && setup.samples.length > 0) chooseSample(0);
}

function wire() {
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("corruption").addEventListener("change", decide);
  byId("severity").addEventListener("input", decide);
  byId("choose").addEventListener("click", () => byId("file").click());
  byId("file").addEventListener("change", (event) => take(event.target.files[0]));
  const drop = byId("drop");
  for (const name of ["dragenter", "dragover"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    take(event.dataTransfer.files[0]);
  });
}

function fillCorruptions() {
  const select = byId("corruption");
  const before = select.value;
  select.replaceChildren(el("option", { value: "" }, "none: as it is"));
  for (const { group, corruptions } of setup.corruptions) {
    const entries = corruptions.map(({ name, title }) => el("option", { value: name }, title));
    select.append(el("optgroup", { label: group }, ...entries));
  }
  select.value = before;
}

function fillSamples() {
  const shown = setup.samples.map((uri, at) =>
    el(
      "button",
      { type: "button", class: "sample", "aria-pressed": "false", onclick: () => chooseSample(at) },
      el("img", { src: uri, alt: `Sample ${at + 1}`, width: 44, height: 44 }),
    ),
  );
  byId("samples").replaceChildren(...shown);
}

function chooseSample(at) {
  source = { sample: at };
  press(at);
  decide();
}

function press(at) {
  [...byId("samples").children].forEach((each, index) =>
    each.setAttribute("aria-pressed", String(index === at)),
  );
}

async function take(file) {
  if (!file) return;
  if (file.size > MAX_BYTES) {
    problem(new Error(`Expected an image of at most 20 MB, ${file.name} has more: choose a smaller one.`));
    return;
  }
  const bytes = new Uint8Array(await file.arrayBuffer());
  const parts = [];
  for (let at = 0; at < bytes.length; at += 32768) {
    parts.push(String.fromCharCode(...bytes.subarray(at, at + 32768)));
  }
  source = { image: btoa(parts.join("")) };
  press(-1);
  byId("file").value = "";
  decide();
}

function condition() {
  const corruption = byId("corruption").value || null;
  const slider = byId("severity");
  slider.disabled = corruption === null;
  byId("severity-shown").textContent = corruption === null ? "–" : slider.value;
  return { corruption, severity: corruption === null ? null : Number(slider.value) };
}

async function decide() {
  const asked = condition();
  if (source === null) return;
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  const began = performance.now();
  byId("result").setAttribute("aria-busy", "true");
  try {
    const trial = await post("console/api/try", { ...source, ...asked }, { signal });
    problem(null);
    // From now on the image goes as the gate sees it: small, and the same pixels.
    if (source.image) source.image = trial.original.split(",")[1];
    show(trial, asked, performance.now() - began);
    planSweep(asked, signal);
  } catch (error) {
    if (error.name === "AbortError") return;
    problem(error);
  }
  if (!signal.aborted) byId("result").setAttribute("aria-busy", "false");
}

function show(trial, asked, total) {
  const { decision } = trial;
  const accepted = decision.action === "accept";
  const verdict = byId("verdict");
  verdict.className = `banner ${accepted ? "good" : "bad"}`;
  verdict.replaceChildren(
    el(
      "div",
      { class: "headline" },
      el("h2", {}, accepted ? `Accept: ${decision.class_name}` : "Abstain"),
      el(
        "p",
        { class: "number" },
        percent(decision.reliability),
        el("span", { class: "note" }, accepted ? " reliable" : " reliable, kept back"),
      ),
    ),
    el("p", {}, decision.reason_text, " ", el("code", {}, decision.reason)),
    symptoms(decision),
  );
  byId("looks").replaceChildren(...looks(trial));
  timings(trial.timings, total);
  byId("details").hidden = false;
  const { bundle } = decision.versions;
  if (bundle !== setup.versions.bundle || decision.certificate.certified !== setup.certificate.certified) {
    dispatchEvent(new Event("served-changed"));
  }
  drawSweep(asked);
  byId("result").dataset.count = String((count += 1));
}

function symptoms(decision) {
  const told = [
    ...decision.symptoms,
    ...decision.degraded,
    ...(decision.gear === "full" ? [] : [`load gear ${decision.gear}`]),
  ];
  if (told.length === 0) return null;
  return el(
    "ul",
    { class: "chips", "aria-label": "What is wrong with the image" },
    ...told.map((text) => el("li", {}, text)),
  );
}

function looks(trial) {
  const { decision } = trial;
  const attempts = decision.attempts.map((attempt, at) => {
    const threshold = at === 0 ? setup.accept_raw_at : setup.accept_restored_at;
    const restorer = attempt.restorer;
    const uri = restorer === null ? trial.received : trial.restored[at];
    const title = restorer === null ? "As received" : `Restored by ${restorer}`;
    return look(title, uri, attempt, threshold, decision);
  });
  if (attempts.length === 0) attempts.push(look("As received", trial.received, null, null, decision));
  return attempts;
}

function look(title, uri, attempt, threshold, decision) {
  const shown = uri
    ? picture(uri, `${title}, as the classifier sees it`)
    : el("p", { class: "muted" }, "no picture of this look");
  if (attempt === null) return el("li", { class: "panel look" }, el("h2", {}, title), shown);
  const kept = decision.attempts.at(-1) === attempt || attempt.action === "accept";
  const done = { accept: "accepted", restore: "doubted, so restored", abstain: "not enough" };
  return el(
    "li",
    { class: `panel look ${attempt.action}` },
    el("h2", {}, title),
    el("div", { class: "frame" }, shown),
    el("p", { class: "answer" }, el("strong", {}, attempt.class_name), " ", el("span", { class: `badge ${kept ? attempt.action : "restore"}` }, done[attempt.action])),
    meter(attempt.reliability, threshold),
  );
}

function meter(value, threshold) {
  const told = `Reliability ${percent(value)}` + (threshold === null ? "" : `, accepted from ${percent(threshold)}`);
  const fill = el("span", { class: `fill ${threshold === null || value >= threshold ? "enough" : "short"}` });
  fill.style.width = `${100 * value}%`;
  const bar = el("span", { class: "meter", role: "img", "aria-label": told }, fill);
  if (threshold !== null) {
    const mark = el("span", { class: "mark" });
    mark.style.left = `${100 * threshold}%`;
    bar.append(mark);
  }
  return el(
    "div",
    { class: "metered" },
    bar,
    el("p", { class: "note" }, el("strong", {}, percent(value)), threshold === null ? "" : ` · accepted from ${percent(threshold)}`),
  );
}

function timings(parts, total) {
  const served = parts.reduce((sum, part) => sum + part.ms, 0);
  const rows = [...parts, { part: "network and browser", ms: Math.max(0, total - served) }];
  const bar = el("div", { class: "stack", "aria-hidden": "true" });
  rows.forEach((row, at) => {
    const piece = el("span", { class: `part part-${at % 7}` });
    piece.style.flexGrow = String(Math.max(row.ms, total / 400));
    bar.append(piece);
  });
  const table = el(
    "table",
    { class: "plain" },
    el("caption", { class: "hidden" }, "Milliseconds by part"),
    el(
      "tbody",
      {},
      ...rows.map((row, at) =>
        el("tr", {}, el("th", { scope: "row" }, el("span", { class: `key part-${at % 7}` }), row.part), el("td", {}, milliseconds(row.ms))),
      ),
      el("tr", { class: "total" }, el("th", { scope: "row" }, "in all"), el("td", {}, milliseconds(total))),
    ),
  );
  byId("timings").replaceChildren(bar, table);
}

const keyOf = (corruption) => JSON.stringify([source, corruption]);

function planSweep({ corruption }, signal) {
  clearTimeout(sweepTimer);
  if (corruption === null || swept?.key === keyOf(corruption)) return;
  sweepTimer = setTimeout(async () => {
    if (signal.aborted) return;
    try {
      const key = keyOf(corruption);
      const { points } = await post("console/api/sweep", { ...source, corruption, severity: 1 }, { signal });
      swept = { key, points };
      drawSweep(condition());
    } catch (error) {
      if (error.name !== "AbortError") problem(error);
    }
  }, SWEEP_AFTER_MS);
}

const WIDTH = 420;
const HEIGHT = 190;
const LEFT = 46;
const BOTTOM = 30;

function drawSweep({ corruption, severity }) {
  const place = byId("sweep");
  if (corruption === null) {
    place.replaceChildren(el("p", { class: "muted" }, "Choose a corruption to see how far the answer holds."));
    return;
  }
  if (swept?.key !== keyOf(corruption)) {
    place.classList.add("waiting");
    return;
  }
  place.classList.remove("waiting");
  const x = (at) => LEFT + 14 + (at * (WIDTH - LEFT - 34)) / 5;
  const y = (share) => 10 + (1 - share) * (HEIGHT - BOTTOM - 10);
  const { points } = swept;
  const told = points.map((p) => `${p.severity ?? "clean"}: ${p.action}, ${percent(p.reliability)}`).join("; ");
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `Reliability by severity. ${told}` });
  for (const share of [0, 0.5, 1]) {
    drawing.append(
      svg("line", { class: "grid", x1: LEFT, x2: WIDTH - 8, y1: y(share), y2: y(share) }),
      svg("text", { class: "soft end", x: LEFT - 6, y: y(share) + 4 }, `${100 * share} %`),
    );
  }
  if (setup.accept_raw_at !== null) {
    drawing.append(
      svg("line", { class: "target", x1: LEFT, x2: WIDTH - 8, y1: y(setup.accept_raw_at), y2: y(setup.accept_raw_at) }),
    );
  }
  const line = (pick) => points.map((p, at) => `${x(at)},${y(pick(p))}`).join(" ");
  drawing.append(
    svg("polyline", { class: "line raw", points: line((p) => p.raw_reliability) }),
    svg("polyline", { class: "line policy", points: line((p) => p.reliability) }),
  );
  points.forEach((p, at) => {
    const here = p.severity === severity;
    const dot = svg("circle", { class: `dot ${p.action}${here ? " here" : ""}`, cx: x(at), cy: y(p.reliability), r: here ? 8 : 5.5 });
    dot.append(svg("title", {}, `${p.severity ?? "clean"}: ${p.action} ${p.class_name ?? ""} ${percent(p.reliability)}`));
    if (p.severity !== null) {
      dot.addEventListener("click", () => {
        byId("severity").value = String(p.severity);
        decide();
      });
    }
    drawing.append(dot, svg("text", { class: "soft middle", x: x(at), y: HEIGHT - 8 }, p.severity === null ? "clean" : String(p.severity)));
  });
  place.replaceChildren(
    drawing,
    el(
      "ul",
      { class: "legend" },
      el("li", {}, el("span", { class: "swatch policy" }), "reliability of the kept answer"),
      el("li", {}, el("span", { class: "swatch raw" }), "without restoration"),
      setup.accept_raw_at === null ? null : el("li", {}, el("span", { class: "swatch target" }), "threshold"),
      el("li", {}, el("span", { class: "round accept" }), "accepted"),
      el("li", {}, el("span", { class: "round abstain" }), "abstained"),
    ),
  );
}
