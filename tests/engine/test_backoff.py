from megahertz.engine.backoff import LONGEST_DELAY, STEADY, Backoff


def test_the_delay_doubles_up_to_its_longest():
    backoff = Backoff()

    delays = [backoff.after(0.0) for _ in range(12)]

    assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
    assert delays[-1] == LONGEST_DELAY


def test_a_worker_that_lived_steadily_begins_anew():
    backoff = Backoff()
    for _ in range(5):
        backoff.after(0.0)

    assert backoff.after(STEADY) == 0.1
