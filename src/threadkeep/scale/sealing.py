"""Keys of the API on their way to a worker: a source is sealed for one process, and no other can read it.

All that Dask sends passes through the scheduler, and with its debug logs on also into files. So each worker process
has a key pair of its own, which never leaves it and ends with it, and sources are sent sealed by its public key.
"""

import functools
import pickle
from typing import Any

from threadkeep.api.endpoints import ApiSource

__all__ = ["public_key", "seal", "unseal"]

# Each sealing has an encryption key of its own, so that no two texts share a nonce.
_NONCE = bytes(12)

_PUBLIC = 32


def public_key() -> bytes:
    """Return the public key of this process."""
    return bytes(_private_key().public_key().public_bytes_raw())


def seal(source: ApiSource, public: bytes) -> bytes:
    """Return a source that only the process of a public key can read."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    once = X25519PrivateKey.generate()
    own = once.public_key().public_bytes_raw()
    cipher = _cipher(once.exchange(X25519PublicKey.from_public_bytes(public)), own + public)
    return own + bytes(cipher.encrypt(_NONCE, pickle.dumps(source), None))


def unseal(sealed: bytes) -> ApiSource | None:
    """Return a source that was sealed for this process; None if it was for another one."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

    once, text = sealed[:_PUBLIC], sealed[_PUBLIC:]
    cipher = _cipher(_private_key().exchange(X25519PublicKey.from_public_bytes(once)), once + public_key())
    try:
        content = cipher.decrypt(_NONCE, text, None)
    except InvalidTag:
        return None
    source = pickle.loads(content)  # noqa: S301 - the scheduler that it came from runs code here anyway
    return source if isinstance(source, ApiSource) else None


@functools.cache
def _private_key() -> Any:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return X25519PrivateKey.generate()


def _cipher(shared: bytes, between: bytes) -> Any:
    """Return the cipher of two parties, with the key that RFC 5869 derives."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return ChaCha20Poly1305(HKDF(SHA256(), length=32, salt=None, info=between).derive(shared))
