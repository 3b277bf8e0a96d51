"""Coverage rules: will a visit be paid, by whom, and what must be asked first.

Pure, like `cases`: no clock, no I/O, no settings, no database. What a payer's configuration says is an argument, as is the day.

    payer      a payer's configuration, and which payer a Coverage means (document: JSON read with every fault at its place)
    rules      a CoverageEligibilityRequest answered from what is held here (costs: what a plan asks of the patient)
    words      what a clerk reads of an answer, and what to do next (section: that of one case)
"""
