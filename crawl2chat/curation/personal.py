"""Personal data: e-mail and IP addresses, telephone, account and card numbers give way to typed placeholders.

In: text. Out: text with `[email]`, `[phone]`, `[ip]`, `[iban]`, `[card]` and the number of each. One placeholder a
kind, so that the result does not depend on how documents are dealt to shards. Check sums (ISO 13616, ISO/IEC 7812) keep
ordinary numbers untouched; of IP addresses only public ones count. Source of the address patterns: Penedo et al. 2024.
"""

import ipaddress
import re
from collections import Counter
from collections.abc import Callable


def is_iban(text: str) -> bool:
    plain = re.sub(r"\s", "", text).upper()
    return 15 <= len(plain) <= 34 and int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def is_card(text: str) -> bool:
    digits = [int(c) for c in text if c.isdigit()]
    doubled = sum(sum(divmod(2 * d, 10)) if i % 2 else d for i, d in enumerate(reversed(digits)))
    return 13 <= len(digits) <= 19 and len(set(digits)) > 1 and doubled % 10 == 0


def is_public(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


def is_phone(text: str) -> bool:
    return 9 <= sum(c.isdigit() for c in text.split("x")[0]) <= 15  # x: an extension follows


BYTE = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
# In the order in which they are looked for.
PATTERNS: dict[str, tuple[str, Callable[[str], bool]]] = {
    "email": (r"(?<![\w.+-])[A-Za-z0-9][\w.+-]*@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}(?![\w-])", lambda text: True),
    "iban": (r"\b(?:[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?|[a-z]{2}\d{2}[a-z0-9]{11,30})\b", is_iban),
    "card": (
        r"(?<![\d.+-])(?<!\d\d )[3-6]\d{3}(?:([ -])\d{4}\1\d{4}\1\d{4}|\d{9,12}|[ -]\d{6}[ -]\d{5})"
        r"(?![\d.]\d|\d| \d{4}\b)",
        is_card,
    ),
    # four numbers after the word "version" or the letter v are no address
    "ip": (rf"(?<![\w.])(?<![Vv]ersion )(?<![Rr]elease ){BYTE}(?:\.{BYTE}){{3}}(?!\.?\d)", is_public),
    "phone": (
        r"(?<![\w.+/*=-])(?:\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]?\d{2,8}){1,4}"
        r"|(?:001-)?\(\d{3}\) ?\d{3}-\d{4}|(?:001-)?\d{3}-\d{3}-\d{4}|(?:001\.)?\d{3}\.\d{3}\.\d{4}"
        r"|\(\d{2,3}\) ?\d{3,4}[ -]\d{3,4})(?: ?x\d{2,6})?(?![\d-]|\.\d)",
        is_phone,
    ),
}
KINDS = tuple(PATTERNS)


def replace(text: str) -> tuple[str, dict[str, int]]:
    """Text with placeholders for personal data, and how many of each kind were replaced."""
    counts: Counter[str] = Counter()
    for kind, (pattern, valid) in PATTERNS.items():
        if kind == "email" and "@" not in text:
            continue

        def placeholder(match: re.Match, kind: str = kind, valid: Callable[[str], bool] = valid) -> str:
            if not valid(match.group()):
                return match.group()
            counts[kind] += 1
            return f"[{kind}]"

        text = re.sub(pattern, placeholder, text)
    return text, dict(counts)
