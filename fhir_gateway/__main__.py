"""`python -m fhir_gateway` is `fhir-gateway`."""

from fhir_gateway.cli import main

main()
