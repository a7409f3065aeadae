"""The address of a running server. It is in a module of its own, which imports no HTTP library."""

import attrs


@attrs.frozen
class Server:
    """The address of a running server."""

    host: str
    port: int
    base_path: str = "/v1"
    is_private: bool = True  # other machines cannot reach it

    @property
    def url(self) -> str:
        """The URL without a path, such as `http://127.0.0.1:8000`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def base_url(self) -> str:
        """The base URL for an OpenAI client, such as `http://127.0.0.1:8000/v1`."""
        return f"{self.url}{self.base_path}"
