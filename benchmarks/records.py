"""From a finished demo to what ships: a record in ``models/``, a certificate in ``calibration/``.

    python -m benchmarks.records [RUN]         # RUN is runs/demo unless named

Every number in the card comes from the run's ``summary.json`` or from its bundle.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gatekeeper.errors import DataError
from gatekeeper.golden import check_golden
from gatekeeper.metrics import exact_proportion_interval

ROOT = Path(__file__).resolve().parents[1]

_RESTORER = "autoencoder"
_WEIGHTS = f"{_RESTORER}.safetensors"

Json = Mapping[str, Any]


def share(count: int, n: int) -> str:
    """A share with its exact 95 % interval."""
    if n == 0:
        return "–"
    low, high = exact_proportion_interval(count, n)
    return f"{count / n:.1%} ({low:.1%}–{high:.1%})"


def ratio(helped: int, harmed: int) -> str:
    """Help : harm, with the exact 95 % interval of the share that is help."""
    share_helped = share(helped, helped + harmed)
    return f"{helped} : {harmed} (help {share_helped})" if helped + harmed else "0 : 0"


def routed_families(gate: Json, summary: Json) -> list[str]:
    """Families that the router sends to the autoencoder."""
    chosen = {name for name, restorer in gate["restorer_of"].items() if restorer == _RESTORER}
    return [name for name in summary["families"] if name in chosen]


def failures(summary: Json) -> list[str]:
    """What went wrong, family by family, in sentences."""
    target = summary["target_risk"]
    said = []
    for name, block in summary["families"].items():
        risk = block["selective_risk"]
        if risk is not None and risk > target:
            wrong, accepted = block["n_wrong_accepted"], block["n_accepted"]
            said.append(
                f"`{name}`: {share(wrong, accepted)} of the accepted answers are wrong, above the "
                f"target risk of {target:.0%}, which is an average over the declared traffic."
            )
        if block["harm"] > block["help"]:
            said.append(f"`{name}`: harmed more than helped, {block['help']} : {block['harm']}.")
    flips, right = summary["clean_flips"], summary["clean_correct"]
    said.append(
        f"Clean images: {flips} of {right} right answers were turned wrong, {share(flips, right)}."
    )
    return said


def card(summary: Json, gate: Json, name: str) -> str:
    """``CARD.md`` of the autoencoder."""
    record = gate["restorers"][_RESTORER]
    routed = routed_families(gate, summary)
    rows = [
        f"| `{family}` | {share(round(b['accuracy_no_gate'] * b['n']), b['n'])} "
        f"| {share(round(b['accuracy_final'] * b['n']), b['n'])} | {ratio(b['help'], b['harm'])} |"
        for family, b in ((family, summary["families"][family]) for family in routed)
    ]
    splits = summary["splits"]
    known = "\n".join(f"- {line}" for line in failures(summary))
    table = "\n".join(rows)
    made = f"{summary['date'][:10]}, gatekeeper {summary['versions']['vision-gatekeeper']}"
    families = ", ".join(f"`{family}`" for family in routed)
    licence = summary["data_licence"]
    height, width = gate["image_size"]
    return f"""# {name}

A skip autoencoder that restores small images before the same classifier looks again; trained for
{families}. It ships in the bundle of the run that judged it, too.

- **Made by** `gatekeeper demo --seed {summary["seeds"]["run"]}`, {made}, torch
  {summary["versions"]["torch"]}.
- **Data** {summary["dataset"]}, licence: {licence}. Weights from *train*
  ({splits["train"]["n"]:,} images, digest `{splits["train"]["digest"][:16]}`); judged on *test*
  ({splits["test"]["n"]:,} images, digest `{splits["test"]["digest"][:16]}`).
- **Weights** `weights.safetensors`, digest `{record["digest"][:16]}`; the network's configuration
  is in `model.toml`.
- **Licence** of the weights: Apache-2.0, as the code; of the data: {licence}.
- **Source** arXiv:2404.10664, re-implemented from its description.

## Numbers

Every *test* image once under each family, severities evenly. Accuracy of the final answer counts
every image, before abstention; restoration runs only where the gate doubts and the router names
this restorer. In brackets: exact 95 % intervals.

| family | right, no gate | right, final answer | help : harm |
|---|---|---|---|
{table}

## Known failures

{known}
- Made for images of {height}×{width} px of this data set; nothing is claimed for others.
"""


def model_toml(summary: Json, gate: Json, name: str) -> str:
    """``model.toml`` of the autoencoder."""
    record = gate["restorers"][_RESTORER]
    facts = {
        "id": name,
        "kind": "restorer",
        "method": _RESTORER,
        "digest": record["digest"],
        "recipe": "calibration/demo.toml",
        "seed": summary["seeds"]["run"],
        "date": summary["date"][:10],
        "dataset": summary["dataset"],
        "dataset_licence": summary["data_licence"],
        "train_digest": summary["splits"]["train"]["digest"],
        "families": routed_families(gate, summary),
        "licence": "Apache-2.0",
    }
    # JSON's strings, numbers and lists are TOML's, too.
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in facts.items()]
    lines += ["", "[config]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in record["config"].items()]
    text = "\n".join(lines) + "\n"
    tomllib.loads(text)
    return text


def write_record(run: Path, root: Path = ROOT) -> tuple[Path, Path]:
    """Copy a finished run into the record and the certificate that ship.

    Args:
        run: Folder that ``gatekeeper demo`` wrote.
        root: Top of the repository.

    Returns:
        The two folders; what they held before is replaced.

    Raises:
        DataError: the run is not finished, or has no autoencoder.
        BundleError: its bundle is damaged or decides its golden set differently.
    """
    try:
        summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
        gate = json.loads((run / "bundle" / "gate.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"expected a finished run in {run}, got {error}: gatekeeper demo"
        ) from error
    if _RESTORER not in gate["restorers"]:
        raise DataError(f"expected an autoencoder in {run}/bundle, got none: train one")
    check_golden(run / "bundle")
    model_id = f"skip-autoencoder-{summary['dataset']}"
    model = _emptied(root / "models" / model_id)
    shutil.copyfile(run / "bundle" / _WEIGHTS, model / "weights.safetensors")
    (model / "model.toml").write_text(model_toml(summary, gate, model_id), encoding="utf-8")
    (model / "CARD.md").write_text(card(summary, gate, model_id), encoding="utf-8")
    issued = _emptied(root / "calibration" / f"small-resnet-{summary['dataset']}")
    shutil.copytree(run / "bundle", issued / "bundle")
    shutil.copyfile(run / "report.html", issued / "report.html")
    certificate = {key: summary[key] for key in ("date", "bundle", "versions", "data_licence")}
    text = json.dumps(certificate | summary["certificate"], indent=1, ensure_ascii=False)
    (issued / "certificate.json").write_text(text + "\n", encoding="utf-8")
    return model, issued


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def main(argv: Sequence[str] | None = None) -> None:
    """Write both folders of this repository."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, nargs="?", default=ROOT / "runs" / "demo")
    for folder in write_record(parser.parse_args(argv).run):
        print(f"wrote {folder}")


if __name__ == "__main__":
    main()
