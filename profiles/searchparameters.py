"""The search parameters served: one FHIR SearchParameter per file in `profiles/searchparameter/`, named `<Type>-<code>.json`.

To add one: add its file (url in our namespace, `derivedFrom` the R4 parameter, a path expression), then run `fhir-gateway reindex`.
The expressions are those of the R4 standard for one type each, with choices spelled out (`effective.ofType(dateTime)`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """One parameter of one type ("Resource" for every type). kind: token, string, reference, date, uri, number, quantity or composite. targets: types a
    reference may point at. components: of a composite, the urls of its parts in order.
    """

    url: str
    type: str
    code: str
    kind: str
    expression: str
    derived_from: str = ""
    targets: tuple[str, ...] = ()
    components: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """`Patient.identifier`: what its search rows are filed under."""
        return f"{self.type}.{self.code}"

    def of(self, type: str) -> str:
        """The same on a resource of a type: a parameter of every type is filed under each."""
        return f"{type}.{self.code}"


@cache
def load() -> tuple[SearchParameter, ...]:
    """Every shipped parameter, by type and code."""
    folder = files("profiles") / "searchparameter"
    found = [read(json.loads(file.read_text("utf-8"))) for file in folder.iterdir() if file.name.endswith(".json")]
    return tuple(sorted(found, key=lambda parameter: (parameter.type, parameter.code)))


def read(resource: dict[str, Any]) -> SearchParameter:
    """A SearchParameter resource with one base as a SearchParameter. Raises ValueError when it has several."""
    if len(resource["base"]) != 1:
        raise ValueError(f"{resource['url']}: one file holds a parameter of one type")
    return SearchParameter(
        url=resource["url"],
        type=resource["base"][0],
        code=resource["code"],
        kind=resource["type"],
        expression=resource["expression"],
        derived_from=resource.get("derivedFrom", ""),
        targets=tuple(resource.get("target", ())),
        components=tuple(component["definition"] for component in resource.get("component", ())),
    )
