"""GetRandomPassword: which characters, and how chance becomes one."""

from __future__ import annotations

import string
from collections.abc import Collection, Sequence

from wherry.model.base import Value
from wherry.model.errors import InvalidParameterException
from wherry.model.ids import Entropy

PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
_CHANCE = 8  # bytes for each draw: their remainder by less than a hundred favours nothing that one could notice


class Wishes(Value, frozen=True, rename="pascal"):
    """What GetRandomPassword is asked for."""

    password_length: int = 32
    exclude_characters: str = ""
    exclude_numbers: bool = False
    exclude_punctuation: bool = False
    exclude_uppercase: bool = False
    exclude_lowercase: bool = False
    include_space: bool = False
    require_each_included_type: bool = True


def generate(wishes: Wishes, entropy: Entropy) -> str:
    """Make a password; raises InvalidParameterException if the wishes leave nothing to make it of."""
    kinds = _kinds(wishes)
    characters = "".join(kinds)
    if not characters:
        raise InvalidParameterException("The password would have no characters: exclude fewer of them.")
    required = kinds if wishes.require_each_included_type else []
    if len(required) > wishes.password_length:
        raise InvalidParameterException(
            f"The password length is too short for one character of each of {len(required)} types."
        )
    drawn = [_draw(kind, entropy) for kind in required]
    drawn += [_draw(characters, entropy) for _ in range(wishes.password_length - len(drawn))]
    return "".join(_shuffled(drawn, entropy))


def _kinds(wishes: Wishes) -> list[str]:
    kinds: Collection[tuple[bool, str]] = (
        (wishes.exclude_lowercase, string.ascii_lowercase),
        (wishes.exclude_uppercase, string.ascii_uppercase),
        (wishes.exclude_numbers, string.digits),
        (wishes.exclude_punctuation, PUNCTUATION),
        (not wishes.include_space, " "),
    )
    excluded = set(wishes.exclude_characters)
    left = ("".join(c for c in kind if c not in excluded) for without, kind in kinds if not without)
    return [kind for kind in left if kind]


def _draw(characters: Sequence[str], entropy: Entropy) -> str:
    return characters[int.from_bytes(entropy(_CHANCE), "big") % len(characters)]


def _shuffled(characters: list[str], entropy: Entropy) -> list[str]:
    """Order by chance (Fisher and Yates), so that the required characters are not always the first ones."""
    for last in range(len(characters) - 1, 0, -1):
        other = int.from_bytes(entropy(_CHANCE), "big") % (last + 1)
        characters[last], characters[other] = characters[other], characters[last]
    return characters
