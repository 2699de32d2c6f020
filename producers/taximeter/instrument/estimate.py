"""Tokens of a text where nobody stated them: by a vocabulary that is on this machine, else a quarter of the characters.

The vocabulary is tiktoken's, used only if the package is installed and the file lies in its cache: nothing is ever
fetched. It is loaded on a thread of its own, because that takes longer than a hook may; until it is there, and after
a fork in between, characters are counted.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import FunctionType
from typing import Any

CHARACTERS_PER_TOKEN = 4
_NEWER, _OLDER = "o200k_base", "cl100k_base"
_OLDER_MODELS = ("gpt-4-", "gpt-3.5", "text-embedding-")
# Encoding runs at some megabytes a second; beyond this, the rest is taken to be like the beginning.
_ENCODED_CHARACTERS = 32_768

_Encode = Callable[[str], int]
_loaded: dict[str, _Encode] = {}
_started = threading.Lock()


def tokens_of(texts: Iterable[str], model: str = "") -> int:
    """How many tokens the texts are, roughly."""
    name = _OLDER if model.startswith(_OLDER_MODELS) or model == "gpt-4" else _NEWER
    encode = _loaded.get(name) or _loaded.get(_NEWER) or _loaded.get(_OLDER)
    whole = "".join(texts)
    if not whole:
        return 0
    if encode is not None:
        with suppress(Exception):
            head = whole[:_ENCODED_CHARACTERS]
            return max(1, round(encode(head) * len(whole) / len(head)))
    return by_characters(len(whole))


def by_characters(characters: int) -> int:
    """A quarter of the characters, rounded up."""
    return -(-characters // CHARACTERS_PER_TOKEN)


def load_vocabulary() -> threading.Thread | None:
    """Begin to load what is on this machine, once. None if it was begun before."""
    if not _started.acquire(blocking=False):
        return None
    thread = threading.Thread(target=_load, name="taximeter-vocabulary", daemon=True)
    thread.start()
    return thread


def _load() -> None:
    # Without the package, without its files, with another layout of either: characters are counted.
    with suppress(Exception):
        import tiktoken

        for name in (_NEWER, _OLDER):
            if _is_offline(name):
                _loaded[name] = _encoder(tiktoken.get_encoding(name))


def _encoder(encoding: Any) -> _Encode:
    return lambda text: len(encoding.encode_ordinary(text))


def _is_offline(name: str) -> bool:
    """Whether every file of an encoding lies in tiktoken's cache, whole."""
    from tiktoken_ext import openai_public  # type: ignore[import-untyped]  # it ships no types

    files: list[tuple[str, str]] = []

    def note(place: str, expected_hash: str = "") -> Mapping[bytes, int]:
        files.append((place, expected_hash))
        return {}

    constructor = openai_public.ENCODING_CONSTRUCTORS[name]
    # The constructor names its files as it loads them; with another loader it only names them.
    FunctionType(constructor.__code__, {**constructor.__globals__, "load_tiktoken_bpe": note})()
    return bool(files) and all(_cached(place, expected) for place, expected in files)


def _cached(place: str, expected_hash: str) -> bool:
    folder = os.environ.get("TIKTOKEN_CACHE_DIR") or os.environ.get("DATA_GYM_CACHE_DIR")
    cache = Path(folder) if folder else Path(tempfile.gettempdir()) / "data-gym-cache"
    file = cache / hashlib.sha1(place.encode(), usedforsecurity=False).hexdigest()
    return file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == expected_hash
