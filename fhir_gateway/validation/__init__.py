"""Is this legal FHIR R4? Bytes → JSON → structure, bindings, references, invariants. Every fault is collected and located by a FHIRPath expression.

`text` reads and writes canonical JSON, `shapes` compiles what fhir.resources knows of each type, `structure` walks a resource along
its shape, `rules` holds the invariants no shape can say.
"""

from fhir_gateway.validation.issue import InvalidResourceError, Issue
from fhir_gateway.validation.structure import validate
from fhir_gateway.validation.text import decode, decode_any, encode, spelled

__all__ = ["InvalidResourceError", "Issue", "decode", "decode_any", "encode", "spelled", "validate"]
