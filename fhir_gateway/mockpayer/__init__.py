"""A payer to try things against: it answers questions of eligibility and authorisation as a script says, over FHIR, X12 and files, and makes the mistakes
real payers make. Synthetic members only; no part of the service imports it.

    script     what it knows of its members and what it answers, in which order (script.json: the one that comes with the program)
    book       where each member's scenario stands, and what was asked
    statement  an answer of the script as EB segments, and as a CoverageEligibilityResponse
    x12, fhir, claims, signin, folder    the ways in
    app        all of them as one web application
"""
