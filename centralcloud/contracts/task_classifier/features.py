"""The features of a text for the trained classifier: hashes of its words and of its pairs of neighbouring words. Pure.

Training and every instance use this one function. Change `FEATURES` when a text gets other hashes: a classifier that was
trained on others is then refused.
"""

from typing import Final
from zlib import crc32

#: Names this way to read a text.
FEATURES: Final = "words-and-pairs-1"
#: Characters at the start of the text that are read.
MOST_CHARACTERS: Final = 1_200
#: Words that count, so that no text costs more, and sums of as many weights fit into 16 bits.
MOST_WORDS: Final = 256

_PUNCTUATION: Final = b"!\"#$%&'()*+,./:;<=>?@[\\]^_`{|}~"
_WORDS_ONLY: Final = bytes.maketrans(_PUNCTUATION, b" " * len(_PUNCTUATION))


def hash_features(text: str) -> tuple[frozenset[int], frozenset[int]]:
    """Return the hashes of the words, and of the pairs; each is from 0 to 2^32 - 1, and at most 256 of either.

    Any text is accepted: of one without words both are empty.
    """
    sample = text[:MOST_CHARACTERS].lower().encode(errors="replace").translate(_WORDS_ONLY)
    words = sample.split(None, MOST_WORDS)[:MOST_WORDS]
    hashes = [*map(crc32, words)]
    # The second word before the first one: "put in" is seldom a word, as "in put" would be.
    return frozenset(hashes), frozenset(map(crc32, words, hashes[1:]))
