"""What a payer sees (ADR 0032): decided when something is written, kept as rows, and shown as far as the table of views goes.

shares       which payer is shown which resource (pure)
views        how much of it (pure)
projection   the rows, kept up in the transaction that writes
released     what staff release to a payer
resources    reading as a payer
search       searching as a payer
"""
