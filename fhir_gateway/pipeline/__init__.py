"""The way of a message, one direction, no turning back: bytes → parse → map → validate → one transaction → acknowledgement.

Everything the edges may ask for goes through `Gateway`; the steps are in the modules beside this one.
"""

from fhir_gateway.pipeline.gateway import Gateway, open_store

__all__ = ["Gateway", "open_store"]
