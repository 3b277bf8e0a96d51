"""The HL7 v2 entrances: MLLP 1.0 (frames, listener) and HTTP. Wire decoding is sans-I/O and bounded; sockets are a thin shell."""
