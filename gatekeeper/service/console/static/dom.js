// Elements from data; text is always text, never markup.

export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  set(made, attributes);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  set(made, attributes);
  made.append(...children);
  return made;
}

function set(made, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
}

export const byId = (id) => document.getElementById(id);

// 71.2 %, and nothing but 1 reads 100 %.
export function percent(share) {
  const value = 100 * share;
  const room = Math.min(value, 100 - value);
  if (room <= 0) return `${value.toFixed(0)}\u00a0%`;
  const digits = room >= 1 ? 1 : Math.min(6, 1 - Math.floor(Math.log10(room)));
  return `${value.toFixed(digits)}\u00a0%`;
}

export function shortPercent(share) {
  return `${Number((100 * share).toPrecision(6))}\u00a0%`;
}

export function milliseconds(ms) {
  return `${ms >= 100 ? ms.toFixed(0) : ms.toFixed(1)}\u00a0ms`;
}

export function ago(seconds) {
  const past = Math.max(0, Date.now() / 1000 - seconds);
  if (past < 90) return `${Math.round(past)} s ago`;
  if (past < 5400) return `${Math.round(past / 60)} min ago`;
  if (past < 129600) return `${Math.round(past / 3600)} h ago`;
  return `${Math.round(past / 86400)} days ago`;
}

// A picture grows by a whole factor, so that its pixels stay squares.
export function picture(uri, alt, side = 196) {
  const shown = el("img", { src: uri, alt });
  shown.addEventListener("load", () => {
    const longest = Math.max(shown.naturalWidth, shown.naturalHeight);
    const factor = longest < side ? Math.floor(side / longest) : side / longest;
    shown.width = Math.round(shown.naturalWidth * factor);
    shown.height = Math.round(shown.naturalHeight * factor);
    shown.classList.toggle("pixels", longest < side);
  });
  return shown;
}
