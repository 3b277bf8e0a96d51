"""Case rules: what a second-opinion case still lacks, until when, and which state it is in.

Pure: no clock, no I/O, no settings, no database. Time, records and checklists are arguments, so the worklist, `asOf`, the
dry run and the nightly re-evaluation are the same call. Reading and writing resources is left to the store, and sending
requests to the outbox.

    checklist     PlanDefinition → Checklist (requirement: what it is made of)
    choice        which checklist a diagnosis calls for
    completeness  evaluate(case, checklist, moment, policy) → Evaluation (model: what goes in and comes out)
    answer        Evaluation → flat JSON → GuidanceResponse
    referral      what is a referral, is it a second opinion, its coordination Task
    machine       case states and who may move them
"""
