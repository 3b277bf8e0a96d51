"""Pure mapping between wire formats and FHIR R4: no I/O, no clock, no settings, no randomness; tables are an argument."""
