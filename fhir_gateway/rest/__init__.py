"""The FHIR R4 API under `/fhir`: a thin layer that reads requests, asks the pipeline, and answers in FHIR's words."""
