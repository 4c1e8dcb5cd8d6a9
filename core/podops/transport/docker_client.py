"""All that is used of the Docker SDK, with one fault of requests mended. Importing it loads the SDK.

No other module imports the SDK: threads that import this one wait for each other, those that import different parts of
the SDK find it half made.
"""

from __future__ import annotations

from typing import Any

from docker import APIClient
from docker.context import ContextAPI
from docker.errors import APIError, DockerException
from docker.utils import kwargs_from_env
from requests import RequestException

__all__ = ["APIError", "Client", "ContextAPI", "DockerException", "RequestException", "kwargs_from_env"]


class Client(APIClient):
    """Trusts the authority that docker's settings name, also where REQUESTS_CA_BUNDLE names others."""

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        return super().merge_environment_settings(url, proxies, stream, self.verify if verify is None else verify, cert)
