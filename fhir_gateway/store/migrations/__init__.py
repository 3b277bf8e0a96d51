"""Alembic's home: `versions/` holds one file per change of the tables, applied in order by `fhir_gateway.store.migrate`."""
