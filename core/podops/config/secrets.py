"""Values that look like keys: they have no place in a project file."""

from __future__ import annotations

import re

_SHAPES = (
    ("a private key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")),
    ("a W&B key", re.compile(r"\b(?:wandb_v1_[\w-]{20,}|local-[0-9a-f]{40})|\A[0-9a-f]{40}\Z")),
    ("a Hugging Face token", re.compile(r"\bhf_[A-Za-z0-9]{20,}")),
    ("an API key", re.compile(r"\bsk-[A-Za-z0-9_-]{20,}")),
    ("a GitHub token", re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,})")),
    ("an AWS key", re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")),
    ("a URL with a password", re.compile(r"\b[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s@]+@")),
    ("a URL with a token", re.compile(r"\bhttps?://[^/\s:@]{20,}@")),
)


def secret_kind(text: str) -> str | None:
    """What kind of secret `text` seems to hold, or `None`. The value itself is never repeated."""
    for kind, shape in _SHAPES:
        if shape.search(text):
            return kind
    return None
