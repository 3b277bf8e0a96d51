"""What the gateway does of its own accord: time passing over cases, notices to partners."""
