"""What the gateway does of its own accord: time passing over cases, messages, requests and notifications to partners."""
