"""References of images, `REPOSITORY[:TAG][@DIGEST]`, as far as one is replaced by another."""

from __future__ import annotations

from network_mapper import __version__


def split(image: str) -> tuple[str, str, str]:
    """Repository, tag and digest of `REPOSITORY[:TAG][@DIGEST]`; the latter two may be empty.

    Raises:
        ValueError: It is none; the message says why.
    """
    rest, at, digest = image.partition("@")
    head, slash, last = rest.rpartition("/")
    last, colon, tag = last.partition(":")
    repository = f"{head}{slash}{last}"
    if not repository or not last or "://" in image or any(letter.isspace() for letter in image):
        raise ValueError(f"{image!r} is no image such as registry.example.com/network-mapper:{__version__}")
    if repository != repository.lower():
        raise ValueError(f"{image!r} is no image: repositories are written in lower case")
    if (colon and not tag) or (at and not digest.startswith("sha256:")):
        raise ValueError(f"{image!r} is no image: behind ':' stands a tag, behind '@' a digest such as sha256:…")
    return repository, tag, digest
