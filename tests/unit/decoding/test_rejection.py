import itertools

import numpy as np
import pytest

from asrkit.decoding import rejection
from asrkit.decoding.rejection import list_probabilities


def test_no_words_have_no_probabilities():
    assert list_probabilities([], []) == []


def test_costs_decide_and_long_words_may_cost_more():
    cheap, dear = list_probabilities([0.0], [4])[0], list_probabilities([30.0], [4])[0]
    assert cheap > 0.9 and dear < 0.1
    assert list_probabilities([30.0], [20])[0] > 0.9
    assert list_probabilities([3 * rejection.LETTER_COST_NATS], [4]) == [pytest.approx(0.5)]


def test_short_words_are_weak_evidence():
    on_list = [list_probabilities([0.0], [letters])[0] for letters in (1, 2, 3, 4)]
    assert on_list == sorted(on_list) and 0.5 < on_list[0] < 0.6 < on_list[1] < 0.9 < on_list[2]


def test_a_doubtful_word_goes_with_its_neighbours():
    doubtful, fitting, other = 3 * rejection.LETTER_COST_NATS, 0.0, 30.0
    assert list_probabilities([fitting, doubtful, fitting], [4, 4, 4])[1] > 0.8
    assert list_probabilities([other, doubtful, other], [4, 4, 4])[1] < 0.2
    among_list = list_probabilities([fitting, other, other, fitting], [4] * 4)
    assert [probability > 0.5 for probability in among_list] == [True, False, False, True]


def test_probabilities_equal_the_sum_over_all_sequences():
    costs, letters = [3.0, 11.0, 9.0, 2.0], [3, 4, 5, 2]
    evidence = rejection.COST_WEIGHT * (rejection.LETTER_COST_NATS * (np.array(letters) - 1) - costs)
    totals = np.zeros(2)
    first_on_list = 0.0
    for states in itertools.product((True, False), repeat=4):
        changes = sum(left != right for left, right in itertools.pairwise(states))
        weight = np.exp(evidence[list(states)].sum() - rejection.SWITCH_COST_NATS * changes)
        totals += weight
        first_on_list += weight * states[0]
    assert list_probabilities(costs, letters)[0] == pytest.approx(first_on_list / totals[0])
