"""How often a scheduler is asked, by a clock of its own."""

from itertools import pairwise

from roadstead.spawners import pace
from roadstead.spawners.pace import Pace


def questions(seconds: float, *, hurry: bool, took: float = 0.0, clean: bool = True) -> list[float]:
    """When questions are asked in that time."""
    now, found, asked = 0.0, [], Pace()
    while now < seconds:
        found.append(now)
        asked.asked(now, took, clean=clean)
        now = asked.next(hurry=hurry)
    return found


def test_the_first_question_is_due_at_once() -> None:
    assert Pace().next(hurry=False) < 0


def test_in_a_minute_of_starts_there_are_at_most_thirty_questions() -> None:
    assert 20 <= len(questions(60, hurry=True)) <= 30


def test_an_hour_of_starts_is_no_faster() -> None:
    assert len(questions(3600, hurry=True)) <= 30 * 60


def test_the_first_questions_of_a_start_come_soon() -> None:
    assert [each for each in questions(10, hurry=True) if each <= 2] == [0, 0.5, 1.0, 1.5, 2.0]


def test_in_a_quiet_minute_there_are_at_most_six_questions() -> None:
    assert len(questions(60, hurry=False)) <= 6


def test_a_slow_scheduler_is_asked_seldom() -> None:
    times = questions(1000, hurry=True, took=10)
    assert min(later - sooner for sooner, later in pairwise(times)) >= 10 + pace.LOAD * 10


def test_trouble_makes_pauses_longer_up_to_a_bound() -> None:
    times = questions(3000, hurry=False, clean=False)
    pauses = [later - sooner for sooner, later in pairwise(times)]
    assert pauses[:4] == [2, 4, 8, 16]
    assert max(pauses) == pace.LONGEST
    times = questions(3000, hurry=True, clean=False)
    assert max(later - sooner for sooner, later in pairwise(times)) == pace.LONGEST_IN_A_HURRY


def test_an_answer_ends_the_trouble() -> None:
    asked = Pace()
    for number in range(5):
        asked.asked(number, 0, clean=False)
    asked.asked(100, 0, clean=True)
    assert asked.next(hurry=True) < 103
