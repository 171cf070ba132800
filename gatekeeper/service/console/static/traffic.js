// Live traffic: tiles, charts and the state of the certificate, every few seconds.

import { get, problem } from "./api.js";
import { byId, el, milliseconds, percent, shortPercent } from "./dom.js";
import { drawMonitor } from "./monitor.js";

const WINDOW_S = 900;
let timer = 0;
let charts = {};
let setup = null;

export function startTraffic(given) {
  setup = given;
  follow();
}

export function stopTraffic() {
  clearTimeout(timer);
}

async function follow() {
  clearTimeout(timer);
  let again = 5000;
  try {
    const traffic = await get("console/api/traffic");
    problem(null);
    again = Math.max(1000, traffic.every_s * 1000);
    const told = await get("admin/monitor");
    tiles(traffic, told);
    draw(traffic);
    drawMonitor(told);
  } catch (error) {
    problem(error);
  }
  if (!byId("tab-traffic").hidden) timer = setTimeout(follow, again);
}

const sum = (points, pick) => points.reduce((total, point) => total + pick(point), 0);

function tiles(traffic, told) {
  const now = Date.now() / 1000;
  const recent = traffic.points.filter((point) => point.at > now - WINDOW_S);
  const minute = traffic.points.filter((point) => point.at > now - 60);
  const seconds = sum(minute, (point) => point.seconds);
  const decided = sum(recent, (point) => point.accepted + point.abstained);
  const rate = seconds > 0 ? (60 * sum(minute, (point) => point.accepted + point.abstained)) / seconds : 0;
  const coverage = decided > 0 ? sum(recent, (point) => point.accepted) / decided : null;
  const shed = sum(recent, (point) => point.shed);
  const waits = Object.values(traffic.waiting).reduce((total, each) => total + each, 0);
  const certified = setup.facts.certified_coverage;
  const rows = [
    ["Decisions per minute", String(Math.round(rate)), "last minute"],
    [
      "Coverage",
      coverage === null ? "–" : percent(coverage),
      coverage === null ? "nothing decided in 15 minutes" : `of ${decided.toLocaleString("en")} in 15 minutes` +
        (typeof certified === "number" ? `, certified at ${percent(certified)}` : ""),
    ],
    ["Told to come back", shed.toLocaleString("en"), "in 15 minutes", shed > 0],
    ["Waiting", String(waits), Object.entries(traffic.waiting).map(([stage, n]) => `${stage} ${n}`).join(" · ")],
    ["Load gear", traffic.gear.replace("_", " "), `restores ${shortPercent(traffic.restored_share)} of the doubtful`, traffic.restored_share < 1],
    estimate(told.traffic?.accuracy ?? null),
    timed(minute),
    ["Server errors", sum(recent, (point) => point.errors).toLocaleString("en"), `in 15 minutes · engines lost ${traffic.engines_lost}`],
  ];
  byId("tiles").replaceChildren(
    ...rows.map(([name, number, note, alarming]) =>
      el("div", { class: `tile${alarming ? " alarming" : ""}` }, el("dt", {}, name), el("dd", {}, el("span", { class: "value" }, number), el("span", { class: "note" }, note))),
    ),
  );
}

function timed(points) {
  const known = points.filter((point) => point.mean_ms !== null);
  const weight = (point) => point.accepted + point.abstained;
  const n = sum(known, weight);
  if (n === 0) return ["Time to decide", "–", "mean of the last minute"];
  return ["Time to decide", milliseconds(sum(known, (point) => point.mean_ms * weight(point)) / n), "mean of the last minute"];
}

function estimate(accuracy) {
  if (accuracy === null) return ["Estimated accuracy", "–", "without labels, from a whole window"];
  return ["Estimated accuracy", percent(accuracy.value), `${percent(accuracy.low)} – ${percent(accuracy.high)}, without labels`];
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function draw({ points }) {
  const at = points.map((point) => point.at);
  const per = (pick) => points.map((point) => (60 * pick(point)) / point.seconds);
  chart("chart-decisions", "Decisions per minute", [at, per((p) => p.accepted), per((p) => p.abstained), per((p) => p.shed)], [
    ["accepted", "--policy"],
    ["abstained", "--raw"],
    ["told to come back", "--muted"],
  ], (value) => String(Math.round(value * 10) / 10));
  const coverage = points.map((p) => (p.accepted + p.abstained > 0 ? p.accepted / (p.accepted + p.abstained) : null));
  chart("chart-coverage", "Coverage and mean reliability", [at, coverage, points.map((p) => p.mean_reliability)], [
    ["coverage", "--policy"],
    ["mean reliability", "--good-edge"],
  ], percent, [0, 1]);
  chart("chart-time", "Milliseconds to decide", [at, points.map((p) => p.mean_ms)], [["mean", "--policy"]], milliseconds);
}

function chart(id, title, data, series, format, range) {
  const place = byId(id);
  const last = (row) => row.findLast((value) => value !== null && value !== undefined);
  const told = series.map(([name], index) => {
    const value = last(data[index + 1]);
    return `${name} ${value === undefined ? "no data" : format(value)}`;
  });
  place.setAttribute("role", "img");
  place.setAttribute("aria-label", `${title}, newest: ${told.join(", ")}`);
  const known = charts[id];
  if (known) {
    known.setData(data);
    return;
  }
  charts[id] = new uPlot(options(place, series, format, range), data, place);
}

function options(place, series, format, range) {
  const axis = { stroke: colour("--muted"), grid: { stroke: colour("--grid"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
  return {
    width: place.clientWidth,
    height: 210,
    cursor: { y: false },
    legend: { live: false },
    scales: { y: { range: range ?? ((_, low, high) => [0, Math.max(1, high * 1.1)]) } },
    axes: [
      { ...axis, size: 34, values: (_, splits) => splits.map((at) => new Date(at * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" })), space: 90 },
      { ...axis, size: 58, values: (_, splits) => splits.map((value) => (range ? shortPercent(value) : value.toLocaleString("en"))) },
    ],
    series: [
      { label: "time", value: (_, at) => (at ? new Date(at * 1000).toLocaleTimeString("en-GB") : "–") },
      ...series.map(([label, name], index) => ({
        label,
        stroke: colour(name),
        width: 2,
        dash: index === 1 ? [8, 4] : index === 2 ? [2, 4] : undefined,
        points: { show: false },
        value: (_, value) => (value === null || value === undefined ? "–" : format(value)),
      })),
    ],
  };
}

function redraw() {
  for (const [id, known] of Object.entries(charts)) {
    known.destroy();
    byId(id).replaceChildren();
  }
  charts = {};
  if (!byId("tab-traffic").hidden && setup) follow();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === width) return;
  width = innerWidth;
  for (const [id, known] of Object.entries(charts)) known.setSize({ width: byId(id).clientWidth, height: 210 });
});
