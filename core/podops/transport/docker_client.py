"""All that is used of the Docker SDK, with one fault of requests mended and answers that end.

Importing it loads the SDK.

No other module imports the SDK: threads that import this one wait for each other, those that import different parts of
the SDK find it half made.
"""

from __future__ import annotations

import re
from typing import Any

from docker import APIClient
from docker.context import ContextAPI
from docker.errors import APIError, DockerException
from docker.utils import kwargs_from_env
from requests import RequestException

from podops.transport.docker_answers import Answer

__all__ = ["APIError", "Client", "ContextAPI", "DockerException", "RequestException", "kwargs_from_env"]


class Client(APIClient):
    """Trusts the authority that docker's settings name, also where REQUESTS_CA_BUNDLE names others.

    Each answer comes within the time limit and within a size, or there is an error.
    """

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        return super().merge_environment_settings(url, proxies, stream, self.verify if verify is None else verify, cert)

    def _retrieve_server_version(self) -> str:
        told: Any = super()._retrieve_server_version()  # type: ignore[misc]
        if not isinstance(told, str) or not re.fullmatch(r"\d{1,4}(\.\d{1,4}){1,3}", told):
            raise TypeError("its version is none")
        return told

    def send(self, request: Any, **how: Any) -> Any:
        adapter: Any = self.get_adapter(request.url)
        _bound(
            adapter.get_connection_with_tls_context(request, how["verify"], proxies=how["proxies"], cert=how["cert"])
        )
        request.headers["Accept-Encoding"] = "identity"
        # No engine sends us elsewhere; each such step would have a time limit of its own.
        return super().send(request, **{**how, "allow_redirects": False})


def _bound(pool: Any) -> None:
    """Let what comes over connections of `pool`, one of urllib3's, be read as an `Answer`."""
    make = pool._new_conn
    if "_new_conn" in vars(pool):
        return

    def made() -> Any:
        connection = make()
        connection.response_class = Answer
        return connection

    # Not by a class of ours: the SDK and urllib3 have one each for sockets, ports and TLS.
    pool._new_conn = made
