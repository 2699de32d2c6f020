"""Redaction: secrets leave debug texts before those leave the process.

Better too much than too little: a text is for finding a cause, and a secret in a topic stays there. Every pattern takes
time linear in the text; a pattern that could walk back is possessive (`++`) or bounded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

GONE = "[redacted]"
LOOKED_AT = 8_192
"""Characters of a text that are looked at; whoever shortens it before leaves one more, so that the cut is seen."""

# Where a token may begin: not inside a word, but also right after an escape such as %20 or \n that was not decoded.
_START = r"(?:(?<![A-Za-z0-9])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[nrt]))"

_PEM = re.compile(r"-----BEGIN[^-\r\n]{0,80}-----.*?(?:-----END[^-\r\n]{0,80}-----|\Z)", re.DOTALL)

_QUOTED = r"""\\{0,2}"(?:[^"\\]|\\.)*+"?|\\{0,2}'(?:[^'\\]|\\.)*+'?"""
_BETWEEN = r"""[\\"'\]]{0,4}\s{0,8}(?:=>|[:=]|%3[dDaA])\s{0,8}"""

_HEADER = re.compile(
    rf"(?P<name>(?:proxy-)?authorization|(?:set-)?cookie){_BETWEEN}(?:{_QUOTED}|[^\r\n]*+)", re.IGNORECASE | re.DOTALL
)

_TELLTALE = (
    r"pass(?:word|wd|phrase|code)|pwd|secret|credential|signature|token(?!s)|authtoken|"
    r"api[ _.-]?key|access[ _.-]?key|private[ _.-]?key|account[ _.-]?key|subscription[ _.-]?key|"
    r"session[ _.-]?id|connection[ _.-]?string|x-amz-security|sas[ _.-]?key|(?<![a-z])(?:sig|auth)(?![a-z])"
)
_NAMED_SO = re.compile(rf"{_TELLTALE}|authorization|cookie", re.IGNORECASE)
_SECRET_NAME = re.compile(
    r"pass(?:word|wd|phrase)|pwd|secret|credential|(?:api|private|account|access)[ _.-]?key|token$|"
    r"(?:access|auth|refresh)[ _.-]?token|authorization|cookie|connection[ _.-]?string",
    re.IGNORECASE,
)
_PAIR = re.compile(
    rf"(?P<name>(?:{_TELLTALE})[\w-]{{0,40}}+){_BETWEEN}(?:{_QUOTED}|[^\s&]++)", re.IGNORECASE | re.DOTALL
)

# user:password@ may carry a slash in its password; a user alone may not, or half of many paths would go.
_USERINFO = re.compile(r"://(?:[^\s/?#:@]{0,512}+:[^\s@]{0,512}+@(?:[^\s/?#@]{1,256}+@){0,8}+|[^\s/?#]{1,512}@)")

# What was asked may be anything, so all of a query goes; also where only a path stands before it.
_QUERY = re.compile(r"(?<=[\w/])\?[\w.%\[\]-]{1,128}=[^\s\"'<>]*+")

_SCHEME = re.compile(
    rf"{_START}(?:(?P<name>bearer)(?:\s|%20|\+){{1,8}}[^\s\"',;]++|(?P<basic>basic)(?:\s|%20|\+){{1,8}}[A-Za-z0-9+/=_%-]{{8,}}+)",
    re.IGNORECASE,
)

_SHAPES = re.compile(
    _START
    + r"""(?:
      (?:sk|pk|rk)[-_][A-Za-z0-9_-]{8,}+                        # OpenAI, Anthropic, Stripe, OpenRouter
    | (?:AKIA|ASIA|AROA|AIDA|AGPA|ANPA)[A-Z0-9]{12,}+           # AWS key ids
    | gh[pousr]_[A-Za-z0-9]{16,}+ | github_pat_\w{16,}+         # GitHub
    | gl[a-z]{2,6}-[\w-]{16,}+                                  # GitLab
    | xox[a-z]-[A-Za-z0-9-]{8,}+ | xapp-[A-Za-z0-9-]{8,}+       # Slack
    | AIza[\w-]{20,}+ | ya29\.[\w.-]{16,}+                      # Google
    | (?:hf|gsk|r8|npm|dop_v1|whsec|nvapi|xai|pplx|tgp_v1|fw|csk|pa|shpat|shpss|lin_api)[_-][A-Za-z0-9_-]{16,}+
    | pypi-[\w-]{16,}+ | SG\.[\w-]{8,}+\.[\w-]{8,}+             # PyPI, SendGrid
    | eyJ[\w-]{4,}+(?:\.[\w-]*+){1,4}                           # JWT, JWE
    )""",
    re.VERBOSE,
)

_EMAIL = re.compile(r"(?<![\w.%+'-])[\w.%+'-]++@[\w-]++(?:\.[\w-]++)++")

# Payment cards have 13 to 19 digits; a longer run may hide one.
_DIGITS = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,}+")


def redact(text: str) -> str:
    """The text with `[redacted]` in place of what looks like a secret, an e-mail address or a payment card."""
    if len(text) > LOOKED_AT:
        # What stands at the cut may be half a secret that no pattern knows.
        text = "".join(text[:LOOKED_AT].rsplit(None, 1)[:1])
    return scrub(text)


def scrub(text: str) -> str:
    """As `redact`, for a text of any length."""
    return _DIGITS.sub(GONE, _EMAIL.sub(GONE, scrub_secrets(text)))


def scrub_secrets(text: str) -> str:
    """Without secrets alone: what names a person or a card may be meant, as in a tag."""
    text = _PEM.sub(GONE, text)
    text = _HEADER.sub(rf"\g<name>={GONE}", text)
    text = _QUERY.sub(f"?{GONE}", text)
    text = _PAIR.sub(rf"\g<name>={GONE}", text)
    text = _USERINFO.sub(f"://{GONE}@", text)
    text = _SCHEME.sub(rf"\g<name>\g<basic> {GONE}", text)
    return _SHAPES.sub(GONE, text)


def redact_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """A run's tags without secrets; they are dimensions of a bill, so a name or an address in one stays."""
    return {
        scrub_secrets(name): GONE if _SECRET_NAME.search(name) else scrub_secrets(value) for name, value in tags.items()
    }


def redact_pair(name: str, value: str) -> tuple[str, str]:
    """A named value: gone as a whole where the name says that it is secret, else redacted as a text is."""
    shown = redact(name)
    return (shown, GONE) if _NAMED_SO.search(name) else (shown, redact(value))
