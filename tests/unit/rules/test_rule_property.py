"""A rule says the same as SQL, as Python and as plain arithmetic; whatever its numbers are."""

import math
from itertools import permutations

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructmining.rules.canary import metrics_of, preferences
from instructmining.rules.hinge import Hinge, indicator_in, slopes
from instructmining.rules.rule import LinearRule

NAMES = ("reward", "knn_6", 'my "own" score', "質")
numbers = st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda value: round(value, 6))
values = st.one_of(st.none(), st.just(math.nan), numbers)
rows = st.fixed_dictionaries(dict.fromkeys(NAMES, values))
hinges = st.builds(
    lambda name, knot, above: Hinge(indicator=name, **{"above" if above else "below": knot}),
    st.sampled_from(NAMES),
    numbers,
    st.booleans(),
)


@st.composite
def rules(draw) -> LinearRule:
    named = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    bent = {hinge.name: hinge for hinge in draw(st.lists(hinges, max_size=3))}
    terms = [*named, *bent]
    factors = draw(st.lists(numbers, min_size=len(terms), max_size=len(terms)))
    coefficients = dict(zip(terms, factors, strict=True))
    return LinearRule(name="drawn", intercept=draw(numbers), coefficients=coefficients, hinges=bent)


def by_arithmetic(rule: LinearRule, row: dict[str, float | None]) -> float | None:
    terms = []
    for term in rule.coefficients:
        hinge = rule.hinges.get(term)
        value = row[term if hinge is None else hinge.indicator]
        if value is None or np.isnan(value):
            return None
        if hinge is None:
            terms.append(value)
        elif hinge.above is not None:
            terms.append(np.clip(value - hinge.above, 0, None))
        else:
            terms.append(np.clip(hinge.below - value, 0, None))
    return rule.intercept + float(np.dot(list(rule.coefficients.values()), terms))


@given(rules(), rows)
def test_a_prediction_is_intercept_plus_coefficients_times_terms(rule, row):
    expected = by_arithmetic(rule, row)
    got = rule.prediction_of(row)
    assert got == (expected if expected is None else pytest.approx(expected, rel=1e-9, abs=1e-3))


@settings(max_examples=60, deadline=None)
@given(rules(), st.lists(rows, min_size=1, max_size=5))
def test_the_exported_sql_gives_the_same_in_another_database(rule, table):
    columns = ", ".join('"' + name.replace('"', '""') + '"' for name in NAMES)
    holes = ", ".join(["CAST(? AS DOUBLE)"] * len(NAMES))
    union = " UNION ALL ".join(f"SELECT {i}, {holes}" for i in range(len(table)))
    parameters = [row[name] for row in table for name in NAMES]
    got = duckdb.execute(
        f"SELECT {rule.to_sql('duckdb')} FROM ({union}) AS t(i, {columns}) ORDER BY i", parameters
    ).fetchall()
    for (predicted,), row in zip(got, table, strict=True):
        expected = by_arithmetic(rule, row)
        assert predicted == (
            expected if expected is None else pytest.approx(expected, rel=1e-9, abs=1e-3)
        )


@given(rules())
def test_a_rule_comes_back_from_its_record_to_the_last_bit(rule):
    again = LinearRule.from_json(rule.to_json())
    assert (again, again.fingerprint, again.to_sql()) == (rule, rule.fingerprint, rule.to_sql())


@given(rules(), st.randoms(use_true_random=False))
def test_the_order_of_terms_is_no_part_of_a_rule_but_its_numbers_are(rule, generator):
    terms = list(rule.coefficients.items())
    generator.shuffle(terms)
    shuffled = LinearRule(**{**rule.model_dump(), "coefficients": dict(terms)})
    assert shuffled.fingerprint == rule.fingerprint
    first, factor = terms[0]
    moved = LinearRule(
        **{**rule.model_dump(), "coefficients": {**rule.coefficients, first: factor + 1}}
    )
    assert moved.fingerprint != rule.fingerprint


@given(hinges)
def test_the_name_of_a_hinge_leads_back_to_its_indicator_and_needs_no_quotes_for_it(hinge):
    assert indicator_in(hinge.name) == hinge.indicator
    side = hinge.name.removeprefix(hinge.indicator)
    assert side.isascii()
    assert side.replace("_", "").isalnum()


@given(st.lists(hinges, min_size=2, max_size=6, unique_by=lambda hinge: hinge.name))
def test_two_hinges_have_one_name_only_if_they_are_one(drawn):
    assert len({hinge.name for hinge in drawn}) == len(
        {(hinge.indicator, hinge.above, hinge.below) for hinge in drawn}
    )


@given(rules(), rows)
def test_the_slope_of_a_piece_is_what_a_step_inside_of_it_changes(rule, row):
    full = {
        name: value if value is not None and value == value else 0.0 for name, value in row.items()
    }
    for name in rule.indicators:
        for low, high, slope in slopes(name, rule.coefficients, rule.hinges):
            inside = [low + 1 if math.isfinite(low) else (high - 2 if math.isfinite(high) else 0.0)]
            inside.append(inside[0] + 0.5)
            if inside[1] > high:
                continue  # a piece too short for the step
            before, after = (rule.prediction_of({**full, name: value}) for value in inside)
            largest = 1 + max(abs(factor) for factor in rule.coefficients.values())
            assert after - before == pytest.approx(0.5 * slope, abs=1e-9 * largest * 1e7)


ties = rows.map(lambda row: (row, row))
pairs_of_rows = st.one_of(st.tuples(rows, rows), ties)


@given(rules(), st.lists(st.tuples(st.sampled_from("ab"), pairs_of_rows), max_size=8))
def test_a_preference_counts_pairs_as_a_loop_does_and_ties_half(rule, drawn):
    pairs = [(kind, *both) for kind, both in drawn]
    for preference in preferences(rule, pairs):
        mine = [(real, spoiled) for kind, real, spoiled in pairs if kind == preference.kind]
        known = [(rule.prediction_of(r), rule.prediction_of(s)) for r, s in mine]
        known = [(real, spoiled) for real, spoiled in known if real is not None]
        won = sum(1.0 if s is None or r < s else 0.5 * (r == s) for r, s in known)
        assert (preference.real, preference.pairs) == (won, len(known))
        assert metrics_of([preference]) == {f"canary_{preference.kind}": 100 * won / len(known)}


@pytest.mark.parametrize(
    ("covariance", "complaint"),
    [
        (((1.0,),), "covariance must be 2 × 2"),
        (((1.0, 0.0), (0.0,)), "covariance must be 2 × 2"),
        (((1.0, 0.0), (0.0, -1.0)), "negative variance"),
        (((1.0, 0.5), (0.4, 1.0)), "must be symmetric"),
    ],
)
def test_a_matrix_that_is_no_covariance_is_refused(covariance, complaint):
    with pytest.raises(ValueError, match=complaint):
        LinearRule(name="x", intercept=0, coefficients={"reward": 1}, covariance=covariance)


def test_every_order_of_three_terms_has_one_fingerprint():
    coefficients = {"reward": -0.25, "knn_6": -1.0, "perplexity": 0.5}
    made = {
        LinearRule(name="x", intercept=1, coefficients=dict(order)).fingerprint
        for order in permutations(coefficients.items())
    }
    assert len(made) == 1
