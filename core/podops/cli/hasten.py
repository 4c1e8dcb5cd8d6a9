"""Letting `ssh` log in while the rest of a command is still being loaded. Loads next to nothing itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

#: Commands that ask pods at once, whatever else their words say.
_ASKING = (("status",), ("run", "status"), ("run", "list"), ("run", "tail"), ("run", "search"))

_WITH_VALUE = ("--config", "--timeout", "--pod")


def hasten(config: Path | None, share: bool, pods: Sequence[str] | None, environ: Mapping[str, str]) -> str | None:
    """Start `ssh` to these pods, or all, by what led there last, where nobody shares links; the project's key."""
    from podops.sharing.place import project_files, project_key, socket_dir
    from podops.transport import early

    try:
        files = project_files(config)
        if not files:
            return None
        key = project_key(files, environ)
        if not (share and (socket_dir(environ) / f"{key}.sock").exists()):
            early.begin(key, pods, environ)
    except OSError:
        return None
    return key


def hasten_for(words: Sequence[str], environ: Mapping[str, str]) -> None:
    """The same for a command line that nobody has looked at yet, if it is plain. Never raises."""
    names, options = _parted(words)
    if not any(tuple(names[: len(asking)]) == asking for asking in _ASKING) or {"-h", "--help"} & set(words):
        return
    config, pod = options.get("--config") or environ.get("OPS_CONFIG"), options.get("--pod")
    share = "--no-share" not in words and not environ.get("OPS_NO_SHARE")
    hasten(Path(config) if config else None, share, [pod] if pod else None, environ)


def _parted(words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The words that are no options, and the values of those options that matter here."""
    names: list[str] = []
    options: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if name in _WITH_VALUE:
            options[name] = value if equals else next(rest, "")
        elif not word.startswith("-"):
            names.append(word)
    return names, options
