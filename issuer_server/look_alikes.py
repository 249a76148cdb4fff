"""Names that a person cannot tell apart on a small display: their skeletons are equal. Pure.

The idea of Unicode's UTS #39 (section 4, confusable detection) with a table of our own: it holds what a
merchant's name is likely to be forged with (Cyrillic, Greek and Armenian letters drawn like Latin ones, kana
drawn like kanji, digits like letters), not all of Unicode. NFKC brings full width and other compatibility
forms together first. Accents are kept: a reader can see them.
"""

from __future__ import annotations

import unicodedata
from typing import Final

# Pairs of a character and the one that it looks like. Capitals first: folding them would change their shape.
_CAPITALS: Final = str.maketrans(
    "АВЕЅІЈКМНОРСТУХҮԚԜԌΑΒΕΖΗΙΚΜΝΟΡΤΥΧՍՕᎪᏴⅠ",
    "ABESIJKMHOPCTYXYQWGABEZHIKMNOPTYXUOABI",
)
_SMALL: Final = str.maketrans(
    {
        **dict(zip("аеорсухіјѕһԁԛԝүєгпт", "aeopcyxijshdqwyernt", strict=True)),
        **dict(zip("αογνρικυτχωηβϲϳ", "aoyvpikutxwnbcj", strict=True)),
        **dict(zip("օսցհոզքյլ", "ougqnqpjl", strict=True)),
        **dict(zip("ıɑɡɩʋ", "iagiv", strict=True)),
        **dict(zip("カロエニタトハヘベペー一", "力口工二夕卜八へべぺ--", strict=True)),
        **dict(zip("‐‑‒–—―−", "-------", strict=True)),
        **dict(zip("’‘`´ʼ′", "''''''", strict=True)),
        **dict(zip("01i|!з", "ollll3", strict=True)),
    }
)
# Two letters that look like one.
_PAIRS: Final = (("rn", "m"), ("vv", "w"))


def skeleton(name: str) -> str:
    """What is left of a name when everything is taken away that a glance may miss."""
    composed = unicodedata.normalize("NFKC", name)
    drawn = "".join(
        character
        for character in composed
        if not character.isspace() and unicodedata.category(character) != "Cf"
    )
    folded = drawn.translate(_CAPITALS).casefold().translate(_SMALL)
    for pair, one in _PAIRS:
        folded = folded.replace(pair, one)
    return unicodedata.normalize("NFKC", folded)


def look_alike(one: str, other: str) -> bool:
    """Whether a person may take one name for the other."""
    return skeleton(one) == skeleton(other)
