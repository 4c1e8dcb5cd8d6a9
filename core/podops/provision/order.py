"""What is asked of a provider: the inputs in their types, the words of its commands, and what it will cost."""

from __future__ import annotations

import math
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from podops.config.inputs import InputValue, checked
from podops.config.model import InputConfig, ProvisionConfig
from podops.config.provision_keys import PLACE
from podops.config.reader import is_name, nearest
from podops.config.secrets import secret_kind
from podops.errors import SourceError, UsageError
from podops.sources.program import run_program

#: How long the command for the price may take where `timeout` leaves it more, seconds: somebody waits for the question.
_PRICE_S = 60.0

#: What a provider may count the time to live in, seconds.
_UNITS = {"ttl_s": 1, "ttl_m": 60, "ttl_h": 3600}


@dataclass(frozen=True, slots=True)
class Order:
    """One pod to be made. `ttl_s` is what its command says; `None`: it lives until it is removed."""

    provider: ProvisionConfig
    name: str
    values: Mapping[str, InputValue]
    ttl_s: float | None

    @property
    def words(self) -> list[str]:
        """The command that makes it."""
        return fill(self.provider.up, self.provider.inputs, self.values, self._more())

    async def price_per_hour(self) -> float | None:
        """What it costs, or `None` when nobody says. Raises `SourceError` when the command that says it fails."""
        if not self.provider.price:
            return self.provider.price_per_hour
        words = fill(self.provider.price, self.provider.inputs, self.values, self._more())
        try:
            done = await run_program(words, min(_PRICE_S, self.provider.timeout_s))
        except SourceError as error:
            raise SourceError(error.message, "try it by hand; correct `price`, or leave it out") from error
        found = re.findall(r"\d+(?:\.\d+)?", done.stdout)
        if done.status != 0 or not found:
            told = f"{words[0]} did not tell a price: {done.last_words or 'it said nothing'}"
            raise SourceError(told, "correct `price`, or leave it out")
        return float(found[-1])

    def _more(self) -> dict[str, str]:
        ttl = 0.0 if self.ttl_s is None else self.ttl_s
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + ttl))
        whole = {key: str(math.ceil(ttl / unit)) for key, unit in _UNITS.items()}
        return {"name": self.name, "until": until, **whole}


def make_order(provider: ProvisionConfig, name: str | None, typed: Sequence[str], ttl_s: float | None) -> Order:
    """The order for what was typed as `KEY=VALUE`. Raises `UsageError`."""
    if name is not None and not is_name(name):
        raise UsageError(f"{name!r} cannot be a pod's name", "use letters, digits, . _ - and at most 64 of them")
    given: dict[str, str] = {}
    for word in typed:
        key, sign, value = word.partition("=")
        if not sign or key not in provider.inputs:
            raise UsageError(f"{provider.name} has no input {word.partition('=')[0]!r}", _inputs(provider, key))
        kind = secret_kind(value)
        if kind is not None:
            raise UsageError(
                f"{key} seems to hold {kind}", "commands are seen by everybody here; log in to the provider"
            )
        given[key] = value
    values = {key: _value(config, given.get(key)) for key, config in provider.inputs.items()}
    return Order(provider, name or f"{provider.name}-{secrets.token_hex(2)}", values, _counted(provider, ttl_s))


def _counted(provider: ProvisionConfig, ttl_s: float | None) -> float | None:
    """The time to live in whole units of the provider's command, seconds; it also decides the price and the end."""
    if ttl_s is None:
        return None
    unit = max((unit for key, unit in _UNITS.items() if f"{{{key}}}" in " ".join(provider.up)), default=0)
    # A pod that lives a little longer is better than one that ends before its time.
    return float(math.ceil(ttl_s / unit) * unit) if unit else ttl_s


def _inputs(provider: ProvisionConfig, key: str) -> str:
    return nearest(key, provider.inputs) if provider.inputs else "it takes none"


def _value(config: InputConfig, typed: str | None) -> InputValue:
    if typed is None and config.default is None:
        if config.optional or config.type == "bool":
            return None
        choices = f": one of {', '.join(config.choices)}" if config.choices else ""
        raise UsageError(f"{config.name} must be given{choices}", f"write {config.name}=…")
    try:
        return checked(config, config.default if typed is None else typed)
    except ValueError as error:
        raise UsageError(f"{config.name} {error}") from None


def fill(
    words: Sequence[str], inputs: Mapping[str, InputConfig], values: Mapping[str, InputValue], more: Mapping[str, str]
) -> list[str]:
    """The words of a command with its placeholders filled in; what stands in a value never becomes a second word.

    A word that is one placeholder alone becomes its option and value, or nothing when there is no value.
    """
    filled: list[str] = []
    for word in words:
        alone = PLACE.fullmatch(word)
        if alone and alone[1] in inputs:
            filled += _alone(inputs[alone[1]], values[alone[1]])
        else:
            filled.append(PLACE.sub(lambda match: more.get(match[1]) or _text(values.get(match[1])), word))
    return filled


def _alone(config: InputConfig, value: InputValue) -> list[str]:
    if value is None or (config.type == "bool" and config.flag and not value):
        return []
    if config.flag is None:
        return [_text(value)]
    return [config.flag] if config.type == "bool" else [config.flag, _text(value)]


def _text(value: InputValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
