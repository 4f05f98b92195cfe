"""Big letters for a terminal that is read from across the room.

In: a word in capitals. Out: its lines. Knows nothing else.
"""

from __future__ import annotations

_ROWS = {  # five rows of a letter, top to bottom; # is ink
    "A": ".##. #..# #### #..# #..#",
    "C": ".### #... #... #... .###",
    "D": "###. #..# #..# #..# ###.",
    "E": "#### #... ###. #... ####",
    "F": "#### #... ###. #... #...",
    "H": "#..# #..# #### #..# #..#",
    "I": "### .#. .#. .#. ###",
    "L": "#... #... #... #... ####",
    "M": "#...# ##.## #.#.# #...# #...#",
    "N": "#..# ##.# #.## #..# #..#",
    "O": ".##. #..# #..# #..# .##.",
    "P": "###. #..# ###. #... #...",
    "R": "###. #..# ###. #.#. #..#",
    "S": ".### #... .##. ...# ###.",
    "T": "##### ..#.. ..#.. ..#.. ..#..",
    "U": "#..# #..# #..# #..# .##.",
    "V": "#...# #...# .#.#. .#.#. ..#..",
    "W": "#...# #...# #.#.# ##.## #...#",
    "Y": "#...# .#.#. ..#.. ..#.. ..#..",
}


def big_letters(word: str) -> list[str]:
    """Five lines, all of one length; two columns make a dot, as terminals are set twice as high as wide."""
    letters = [_ROWS[letter].split() for letter in word]
    rows = (".".join(letter[row] for letter in letters) for row in range(5))
    return ["".join("██" if dot == "#" else "  " for dot in row) for row in rows]
