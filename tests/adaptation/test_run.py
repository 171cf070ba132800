"""From a champion and captured digits to a challenger; what it is certified for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gatekeeper.adaptation.run import Adapted, Champion, check_champion, open_champion
from gatekeeper.bundle import load_bundle
from gatekeeper.errors import RecipeError, SplitOverlapError
from gatekeeper.recipe import parse_recipe
from tests import small_gate
from tests.adaptation.conftest import adaptation, capture, labelled_sample, run


@pytest.fixture(scope="module")
def with_a_sample(champion: Champion, work: Path) -> Iterator[Adapted]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gatekeeper.adaptation.dealing.LEAST_SAMPLED", 20)
        yield run(
            champion,
            work,
            sample=labelled_sample(small_gate.splits().test[300:]),
            recipe=adaptation(
                promotion={"least_images": 30},
                recognition={"steps": 2, "batch_size": 4, "least_labels": 10},
            ),
        )


def test_without_labels_nothing_is_certified_about_the_traffic(from_a_folder: Adapted) -> None:
    held = from_a_folder.challenger.certificate
    assert from_a_folder.captured is not None
    assert not held["captured"]["certified"]
    assert held["captured"]["reason"].startswith("cannot certify: there is no random labelled")
    assert held["not_covered"].endswith("and the captured traffic")
    # The rest speaks of the champion's own conditions, counted on its own certify split.
    assert held["conditions"] == list(small_gate.small().result.fitted.certificate["conditions"])
    assert held["n_certify"] == len(small_gate.splits().certify)
    assert from_a_folder.contest.images.startswith("the champion's test split")
    assert from_a_folder.contest.paired.n == len(small_gate.splits().test)


def test_the_adapted_restorer_joins_the_router(from_a_folder: Adapted) -> None:
    name = from_a_folder.challenger.certificate["adaptation"]["adapted_restorer"]
    assert from_a_folder.challenger.router.restorer_of["captured"] == name
    digest = from_a_folder.challenger.restorers[name].digest
    assert name == f"adapted-{digest[:8]}"
    assert set(from_a_folder.challenger.restorers) == {"median", "exposure", name}


def test_captured_noise_is_sent_to_the_adapted_restorer(from_a_folder: Adapted) -> None:
    gate = from_a_folder.challenger
    other = capture(small_gate.splits().test[slice(0, 300)], [""], seed=5, labelled=False)
    from torch import from_numpy

    from gatekeeper.signals import read_signals

    images = from_numpy(other.images).permute(0, 3, 1, 2).float().div(255)
    named = gate.router.route(read_signals(images))
    adapted = gate.router.restorer_of["captured"]
    assert (named == adapted).mean() > 0.5
    clean = small_gate.digits().batch(small_gate.splits().test)
    assert (gate.router.route(read_signals(clean)) != "").mean() < 0.1


def test_a_labelled_sample_certifies_for_the_traffic(with_a_sample: Adapted) -> None:
    held, traffic = with_a_sample.challenger.certificate, with_a_sample.dealt.traffic
    assert held["captured"] is None
    assert held["n_certify"] == len(traffic.certify)
    assert held["conditions"] == [
        "a random labelled sample of the traffic, each image once, as it came"
    ]
    assert held["splits"]["certify"]["n"] == len(traffic.certify)
    assert held["splits"]["fit"] == small_gate.small().result.fitted.certificate["splits"]["fit"]
    assert not {"seen", "clean_share"} & set(held)
    assert with_a_sample.contest.paired.n == len(traffic.judge)
    judged = set(traffic.data.digests[traffic.judge])
    assert not judged & set(with_a_sample.dealt.used)


def test_labels_of_the_traffic_teach_the_restorer(
    with_a_sample: Adapted, from_a_folder: Adapted
) -> None:
    facts = with_a_sample.challenger.certificate["adaptation"]["recognition"]
    assert facts == {"n_labels": len(np.unique(with_a_sample.dealt.traffic.learn)), "left_out": ""}
    # Nobody labelled the folder.
    facts = from_a_folder.challenger.certificate["adaptation"]["recognition"]
    assert facts["n_labels"] == 0
    assert facts["left_out"] == "0 labelled images that may teach, fewer than 200"


def test_counts_of_both_gates_agree_with_the_paired_difference(with_a_sample: Adapted) -> None:
    found = with_a_sample.contest
    expected = found.challenger.accuracy - found.champion.accuracy
    assert found.paired.difference == pytest.approx(expected)


def test_a_second_run_gives_the_same_challenger(
    from_a_folder: Adapted, champion: Champion, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "gatekeeper.adaptation.restorer._train", lambda *_: pytest.fail("trained again")
    )
    again = run(champion, work)
    assert again.contest.to_json() == from_a_folder.contest.to_json()
    assert again.challenger.certificate == from_a_folder.challenger.certificate


def test_a_judged_image_that_the_champion_used_is_refused(
    with_a_sample: Adapted, champion: Champion, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatekeeper.adaptation.dealing.LEAST_SAMPLED", 20)
    traffic = with_a_sample.dealt.traffic
    known = Champion(
        directory=champion.directory,
        fitted=champion.fitted,
        identity=champion.identity,
        used=traffic.data.digests[traffic.judge[:1]],
    )
    with pytest.raises(SplitOverlapError, match="what the champion used"):
        run(known, work, sample=labelled_sample(small_gate.splits().test[300:]))


def test_an_image_of_the_champions_data_is_refused(champion: Champion, work: Path) -> None:
    data, rows = small_gate.digits(), small_gate.splits().train[:40]
    captured = capture(rows, [""], labelled=False)
    pixels = (data.batch(rows) * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    from dataclasses import replace

    from gatekeeper.images import image_digests

    captured = replace(captured, images=pixels, digests=image_digests(pixels))
    with pytest.raises(SplitOverlapError, match="the champion's train and the traffic"):
        run(champion, work, captured=captured)


def test_another_recipe_is_refused(champion: Champion) -> None:
    body = {**small_gate.RECIPE, "name": "other"}
    other = parse_recipe(body, source="other", folder=Path())
    with pytest.raises(RecipeError, match="the recipe that fitted this champion"):
        check_champion(champion.fitted, other, small_gate.digits(), small_gate.splits())


def test_random_draws_certify_what_the_champion_accepted(champion: Champion, work: Path) -> None:
    rows = small_gate.splits().test[:400]
    captured = capture(rows, ["accepted", "abstained"], champion=champion.identity)
    found = run(champion, work, captured=captured)
    traffic = found.dealt.traffic
    assert found.captured is not None
    assert found.captured.n == len(traffic.draws) > 100
    check = found.rechecks["champion"]
    assert check is not None
    assert check.n == len(traffic.draws)
    # By hand: the finished challenger on the same draws, one test.
    _, right = _decided(found, traffic.draws)
    assert found.captured.n_accepted == len(right)
    assert found.captured.n_wrong == int((~right).sum())
    learned = np.unique(traffic.learn)
    assert set(found.dealt.traffic.data.digests[learned]) <= set(
        captured.digests[captured.kinds == "abstained"]
    )


def _decided(found: Adapted, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from gatekeeper.pipeline import Gatekeeper

    data = found.dealt.traffic.data
    decisions = Gatekeeper(found.challenger, "").decide(data.batch(rows))
    accepted = np.array([decision.label is not None for decision in decisions])
    labels = np.array([-1 if d.label is None else d.label for d in decisions])
    return accepted, (labels == data.labels[rows])[accepted]


def test_a_challengers_bundle_can_be_the_next_champion(
    from_a_folder: Adapted, tmp_path: Path
) -> None:
    from gatekeeper.adaptation.writing import write_adaptation

    written = write_adaptation(
        from_a_folder, tmp_path, champion="here", command="", tracked=False, promote=False
    )
    fitted, _ = load_bundle(written.bundle_path)
    assert fitted.certificate["adaptation"]["champion"] == from_a_folder.champion.identity
    opened = open_champion(written.bundle_path)
    assert set(opened.used) == set(from_a_folder.dealt.used)
    assert written.record["lineage"]["captured_digest"] == from_a_folder.dealt.captured_digest
    assert written.report_path.read_text(encoding="utf-8").count("cannot certify: ") == 1
