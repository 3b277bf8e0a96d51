"""Data: what the gateway promises, as FHIR R4 JSON (required records, code translations, search parameters, bindings), and a small loader."""
