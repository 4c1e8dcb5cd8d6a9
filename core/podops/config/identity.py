"""Which pod a pod of the project file is, whatever it is called."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import asdict

from podops.config.model import PodConfig

#: What may change without the pod becoming another one.
_COSMETIC = (
    "name",
    "price_per_hour",
    "tags",
    "repo_dir",
    "venv_python",
    "identity_file",
    "source",
    "source_id",
    "gone_since",
)


@functools.lru_cache(10_000)  # asked with every sample and every piece of a log
def pod_identity(pod: PodConfig) -> str:
    """The same for a pod that was renamed, another for a name that now leads elsewhere or to another outputs root.

    An alias that leads to a new machine is told apart by the machine's own id, once that is known.
    """
    facts = {name: value for name, value in asdict(pod).items() if name not in _COSMETIC}
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:24]
