"""Pages for people, rendered on the server. Today: the letter that asks for what is missing; the worklist follows."""
