// Versions and aliases of the registry, with promote and rollback.

import { byId, el } from "./dom.js";

export function showVersions({ certificate, versions }) {
  const row = (name, ...told) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, ...told));
  byId("versions-body").replaceChildren(
    el(
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
    ),
  );
}
