"""A second reader of signed model files, written from docs/reference/formats.md, with its own Ed25519.

That is of RFC 8032. It shares nothing with the packages, and is slow and not for secrets: it only checks.
"""

from __future__ import annotations

import hashlib

PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, PRIME) % PRIME
_ROOT = pow(2, (PRIME - 1) // 4, PRIME)

Point = tuple[int, int]


def is_signed(file: bytes) -> bool:
    """Return whether the key that a file names has signed the file, by the steps of formats.md."""
    block = file[-261:]
    lines = block.decode("latin-1").split("\n")
    if len(block) != 261 or len(lines) != 5 or lines[0] != "edge-classify signature 1" or lines[4]:
        return False
    words = [line.split(" ") for line in lines[1:4]]
    if [word[0] for word in words] != ["version", "key", "signature"] or any(
        len(word) != 2 for word in words
    ):
        return False
    version, key, signature = (word[1] for word in words)
    if len(version) != 18 or not set(version) <= set("0123456789"):
        return False
    if (len(key), len(signature)) != (64, 128) or not set(key + signature) <= set("0123456789abcdef"):
        return False
    digest = hashlib.sha256(file[:-139]).digest()
    message = b"edge-classify model signature 1\x00" + digest
    return verify(bytes.fromhex(key), message, bytes.fromhex(signature))


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Check a signature as RFC 8032, section 5.1.7, without the cofactor."""
    public, commitment = decode(key), decode(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if public is None or commitment is None or scalar >= ORDER:
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    return multiply(scalar, base()) == add(commitment, multiply(challenge, public))


def base() -> Point:
    """Return the base point: y is 4/5, and x is even."""
    point = decode((4 * pow(5, -1, PRIME) % PRIME).to_bytes(32, "little"))
    assert point is not None
    return point


def add(one: Point, other: Point) -> Point:
    """Add two points of the curve -x^2 + y^2 = 1 + d x^2 y^2."""
    (x1, y1), (x2, y2) = one, other
    product = _D * x1 * x2 * y1 * y2 % PRIME
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, PRIME)
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, PRIME)
    return x % PRIME, y % PRIME


def multiply(number: int, point: Point) -> Point:
    """Add a point to itself so many times."""
    total = (0, 1)
    while number:
        if number & 1:
            total = add(total, point)
        point = add(point, point)
        number >>= 1
    return total


def encode(point: Point) -> bytes:
    """Return the 32 bytes of a point."""
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def decode(raw: bytes) -> Point | None:
    """Return the point of 32 bytes; None where there is none."""
    number = int.from_bytes(raw, "little")
    y, odd = number % 2**255, number >> 255
    if y >= PRIME:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    if x * x % PRIME != square:
        x = x * _ROOT % PRIME
    if x * x % PRIME != square or (x == 0 and odd):
        return None
    return (x if x % 2 == odd else PRIME - x), y
