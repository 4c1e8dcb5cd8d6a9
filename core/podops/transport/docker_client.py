"""The SDK's client with one fault of requests mended. Importing it loads the SDK."""

from __future__ import annotations

from typing import Any

from docker import APIClient


class Client(APIClient):
    """Trusts the authority that docker's settings name, also where REQUESTS_CA_BUNDLE names others."""

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        return super().merge_environment_settings(url, proxies, stream, self.verify if verify is None else verify, cert)
