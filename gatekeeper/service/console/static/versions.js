// Versions and aliases of the registry, with promote and rollback.

import { byId, el } from "./dom.js";

export function showVersions(setup) {
  byId("versions-body").replaceChildren(el("p", {}, setup.versions.bundle));
}
