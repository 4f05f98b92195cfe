"""What may stand where a number is expected, as text and as values of TOML and JSON.

In: nothing. Out: texts that are no finite number, and a strategy of values of every kind.
"""

from __future__ import annotations

from hypothesis import strategies as st

NO_NUMBERS = ("nan", "-nan", "inf", "-inf", "1e309", "1e308", "-1e308", "", "abc", "true", "0x10", "1,5", "9" * 5000)
"""As somebody may type them; what is finite among them is beyond float32."""

NOTHING = ("-0.0", "5e-324", "-5e-324", "1e-40")
"""Zero, by what a sound knows."""

ODD = st.sampled_from(
    [float("nan"), float("inf"), float("-inf"), 1e308, -1e308, -0.0, 5e-324, 10**400, -(10**400), 2**63, -1, 0, 1]
)
VALUES = (
    ODD
    | st.floats()
    | st.integers()
    | st.booleans()
    | st.none()
    | st.text(max_size=8)
    | st.lists(ODD | st.floats() | st.integers(-5, 5) | st.text(max_size=3), max_size=4)
)
