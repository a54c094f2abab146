"""Images of this tree for both architectures; where there is neither a cache nor a network, tests of them say so."""

import image
import image_archive
import pytest


def built(arch):
    """The archive for an architecture."""
    try:
        return image.build(arch)
    except image.ImageMissingError as error:
        pytest.skip(f"no image: {error} (where there is a network: python tools/image.py prefetch)")


@pytest.fixture(scope="session", params=image.ARCHITECTURES)
def arch(request):
    return request.param


@pytest.fixture(scope="session")
def archive(arch):
    return built(arch)


@pytest.fixture(scope="session")
def root(archive, tmp_path_factory):
    """The image's files, laid out."""
    folder = tmp_path_factory.mktemp("image")
    image_archive.unpack(archive, folder)
    return folder


@pytest.fixture(scope="session")
def members(archive):
    """The entries of all layers by path."""
    return {member.name: member for layer in image_archive.layers(archive) for member in layer}


@pytest.fixture(scope="session")
def amd64():
    return built("amd64")


@pytest.fixture(scope="session")
def arm64():
    return built("arm64")
