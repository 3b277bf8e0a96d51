"""Every address of the FHIR API, in the order in which they are tried: operations and histories before what would take their names for ids."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.types import Scope

from fhir_gateway.rest import instances, operations, system, types
from fhir_gateway.rest.common import LookedRoute

router = APIRouter()
for part in (system, operations, types, instances):
    router.routes.extend(part.router.routes)


class Directory:
    """The same addresses by method and number of parts: there are dozens of them, and holding each request against all in turn takes longer than a read."""

    def __init__(self) -> None:
        self._plain: dict[tuple[str, int], list[LookedRoute]] = {}
        self._all: dict[tuple[str, int], list[LookedRoute]] = {}
        for route in router.routes:
            assert isinstance(route, LookedRoute)
            for method in route.methods or ():
                place = (method, route.path.count("/"))
                self._all.setdefault(place, []).append(route)
                if "$" not in route.path:
                    self._plain.setdefault(place, []).append(route)

    def find(self, scope: Scope) -> LookedRoute | None:
        """The route that serves a request, noted in its scope as Starlette does; None when it is none of the FHIR API's, or not for this method."""
        path: str = scope["path"]
        if scope.get("root_path"):
            return None
        for route in (self._all if "$" in path else self._plain).get((scope["method"], path.count("/")), ()):
            if found := route.path_regex.match(path):
                scope["route"], scope["path_params"] = route, found.groupdict()
                return route
        return None


DIRECTORY: Final = Directory()
