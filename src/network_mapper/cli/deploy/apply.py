"""Server-side apply of all objects, after a trial that changes nothing.

The trial asks the API to do everything but keep it, so that a missing right, a field of somebody else or an admission
rule is known before the first object exists: an installation is done as a whole or not begun. What can be tried is
what needs no namespace that is still to be made.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from network_mapper.cli.deploy import resources
from network_mapper.cli.deploy.session import RIGHTS, DeniedError
from network_mapper.cli.errors import CliError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from network_mapper.cli.deploy.session import Api

CREATED, CONFIGURED, UNCHANGED, REMOVED = "created", "configured", "unchanged", "removed"
_SERVER_FIELDS = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp")
_SHOWN = 6


class Done(msgspec.Struct):
    """What was done with one object.

    Attributes:
        api_version: Of the object.
        kind: Of the object.
        namespace: Of the object; empty for one without.
        name: Of the object.
        action: `created`, `configured`, `unchanged`, `removed`, or `kept` where it could have been removed.
    """

    api_version: str
    kind: str
    namespace: str
    name: str
    action: str

    @classmethod
    def of(cls, item: dict[str, Any], action: str) -> Done:
        """What was done with an object."""
        meta = item["metadata"]
        return cls(item["apiVersion"], item["kind"], meta.get("namespace") or "", meta["name"], action)

    @property
    def line(self) -> str:
        """For people, as kubectl writes it."""
        title = resources.title_of({"apiVersion": self.api_version, "kind": self.kind, "metadata": {"name": self.name}})
        return f"{title} {self.action}"


class Removed(msgspec.Struct):
    """What `uninstall` has done, for programs.

    Attributes:
        namespace: Of the installation; empty where none was found.
        objects: What was done with each object.
    """

    namespace: str
    objects: list[Done]


def _content(item: dict[str, Any]) -> dict[str, Any]:
    """An object without what the server alone writes."""
    meta = {key: value for key, value in item["metadata"].items() if key not in _SERVER_FIELDS}
    return {key: value for key, value in item.items() if key != "status"} | {"metadata": meta}


async def apply_one(api: Api, item: dict[str, Any], *, dry_run: bool = False, force: bool = False) -> Done:
    """Apply one object.

    Raises:
        DeniedError: The API refused.
        ApiError: It cannot be asked.
    """
    path = resources.path_of(item)
    before = await api.get(path)
    after = await api.apply(path, item, dry_run=dry_run, force=force)
    if before is None:
        return Done.of(item, CREATED)
    return Done.of(item, UNCHANGED if _content(before) == _content(after) else CONFIGURED)


async def try_all(
    api: Api, items: Sequence[tuple[dict[str, Any], bool]], where: str, *, absent: str = ""
) -> list[Done]:
    """What applying would do.

    Args:
        api: Of the cluster.
        items: The objects, each with whether fields of others are taken over.
        where: How messages name the cluster.
        absent: A namespace that does not exist yet; what is in it cannot be tried and counts as created.

    Raises:
        CliError: The API would refuse; the message names all objects and rights that are concerned.
        ApiError: It cannot be asked.
    """
    done: list[Done] = []
    refused: list[tuple[dict[str, Any], DeniedError]] = []
    for item, force in items:
        if absent and item["metadata"].get("namespace") == absent:
            done.append(Done.of(item, CREATED))
            continue
        try:
            done.append(await apply_one(api, item, dry_run=True, force=force))
        except DeniedError as error:
            if error.code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS) or error.code >= 500:
                raise
            refused.append((item, error))
    if refused:
        raise _refusal(refused, where)
    return done


async def apply_all(api: Api, items: Sequence[dict[str, Any]], where: str, *, force: bool = False) -> list[Done]:
    """Apply objects in their order.

    Raises:
        CliError: The API refused one; what came before it stays.
        ApiError: It cannot be asked.
    """
    done: list[Done] = []
    for item in items:
        try:
            done.append(await apply_one(api, item, force=force))
        except DeniedError as error:
            made = sum(1 for one in done if one.action != UNCHANGED)
            error_now = _refusal([(item, error)], where)
            if made:
                raise CliError(
                    f"{error_now.format_message()} {made} of {len(items)} objects were applied before and stay; "
                    "'network-mapper uninstall' removes them."
                ) from error
            raise error_now from error
    return done


def _shown(texts: list[str]) -> str:
    return "; ".join(texts[:_SHOWN]) + (f"; and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else "")


def _refusal(refused: list[tuple[dict[str, Any], DeniedError]], where: str) -> CliError:
    """One message about all that was refused: missing rights first, for nothing goes without them."""
    rights = [error.missing_right for _, error in refused if error.missing_right]
    if rights:
        return CliError(
            f"you may not {_shown(list(dict.fromkeys(rights)))}, of {where}. Ask for these rights; {RIGHTS}."
        )
    conflicts = [(item, error) for item, error in refused if error.code == HTTPStatus.CONFLICT and error.causes]
    if conflicts:
        texts = [
            f"{resources.title_of(item)} {field} ({said})" for item, error in conflicts for field, said in error.causes
        ]
        return CliError(
            f"somebody else manages fields that would be changed: {_shown(texts)}. Leave it to them, or take the "
            "fields over with --force-conflicts."
        )
    escalation = [item for item, error in refused if "attempting to grant RBAC permissions" in str(error)]
    if escalation:
        names = ", ".join(resources.title_of(item) for item in escalation)
        return CliError(
            f"you may not grant what you may not do yourself: {names} of {where} gives the mapper rights that you do "
            f"not have. It takes them, or 'escalate' and 'bind' on these roles; {RIGHTS}."
        )
    unknown = [item for item, error in refused if error.code == HTTPStatus.NOT_FOUND and not error.reason]
    if unknown:
        titles = ", ".join(dict.fromkeys(resources.resource_of(item).title for item in unknown))
        return CliError(f"{where} has no {titles}, of which this profile has some. Choose another one with --profile.")
    texts = [f"{resources.title_of(item)}: {str(error).rstrip('.')}" for item, error in refused]
    return CliError(f"{where} refuses {_shown(texts)}.")
