"""Takes secrets out of text and settings that are shown or kept: passwords in addresses, signatures of signed ones,
access keys and tokens in the forms that storage providers and model hubs give them.

In: a sentence, or nested settings. Out: the same with `***` where the secret was.
"""

import re
from typing import Any

HIDDEN = "***"
# What fsspec and the providers' tools call a secret among their options.
NAMES = re.compile(
    r"(?:.*[_-])?(?:key|secret|token|password|passwd|credential|credentials|connection[_-]string|sas)", re.IGNORECASE
)
# Of an address: what stands between its user and its host, and the parameters that make it open without one.
# A port and a path with an @ in it are no password.
PASSWORD = re.compile(r"(?<=://)([^\s/@:'\"]*):(?!\d+/)[^\s@'\"]+@")
SIGNATURE = re.compile(
    r"([?&](?:x-(?:amz|goog)-(?:signature|credential|security-token)|awsaccesskeyid|googleaccessid|key-pair-id|policy|"
    r"signature|sig|(?:access_|auth_|session_)?token|api_?key|key|secret|password)=)[^&\s#'\"]+",
    re.IGNORECASE,
)
# Keys that are known by their form: of AWS, GitHub, GitLab, model hubs, Google; and signed web tokens.
KEYS = re.compile(
    r"\b(?:(?:AKIA|ASIA)[0-9A-Z]{16}|gh[opsu]_\w{30,}|glpat-[\w-]{20,}|hf_\w{30,}|sk-[\w-]{20,}|AIza[\w-]{35}"
    r"|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{5,})"
)
# name=value and name: value of the environment variables and options that hold secrets.
ASSIGNED = re.compile(
    r"\b((?:\w*_)?(?:secret|password|passwd|api_?key|access_key|secret_key|access_token|auth_token|session_token)\b"
    r"['\"]?\s*[=:]\s*['\"]?)[^\s'\",}&;]+",
    re.IGNORECASE,
)


def redacted(text: str) -> str:
    """The text without the secrets in it."""
    text = PASSWORD.sub(rf"\1:{HIDDEN}@", text)
    text = SIGNATURE.sub(rf"\g<1>{HIDDEN}", text)
    return ASSIGNED.sub(rf"\g<1>{HIDDEN}", KEYS.sub(HIDDEN, text))


def without_secrets(value: Any) -> Any:
    """Nested settings with every secret hidden, by its form or, where a text stands under such a name, by the name."""
    if isinstance(value, dict):
        return {
            key: HIDDEN if isinstance(item, str) and item and NAMES.fullmatch(str(key)) else without_secrets(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [without_secrets(item) for item in value]
    return redacted(value) if isinstance(value, str) else value


def secret_keys(value: Any, prefix: str = "") -> list[str]:
    """The dotted names of what `without_secrets` hides."""
    if isinstance(value, dict):
        return [
            name
            for key, item in value.items()
            for name in (
                [f"{prefix}{key}"]
                if isinstance(item, str) and without_secrets({key: item})[key] != item
                else secret_keys(item, f"{prefix}{key}.")
            )
        ]
    if isinstance(value, (list, tuple)):
        return [name for position, item in enumerate(value) for name in secret_keys({str(position): item}, prefix)]
    return []
