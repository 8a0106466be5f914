from array import array

from megahertz.load import Outcomes


def test_outcomes_unpack_what_the_native_side_packed():
    packed = array("Q", [7 << 24 | 2 << 16 | 201, (2**32 + 1) << 24]).tobytes()
    outcomes = Outcomes(packed, first_id=1000)
    assert len(outcomes) == 2
    assert [tuple(outcome) for outcome in outcomes] == [(1007, 2, 201), (2**32 + 1001, 0, None)]
