"""`audit`: the log, and the questions that an auditor has.

    command     which part is asked for; the log itself, filtered
    listing     records on the screen, or as lines of JSON; also as they come
    at          `audit at TIME`: what was so, and by which records
    ran         `audit ran`: what Docker ran with, from when to when, and in which network
    outages     `audit outages`: each with its begin, its end and its length
    who         `audit who`: what people ordered, and what came of it
    report      `audit report`: a stretch of time as a page to keep
    verifying   `audit verify`: whether the log is as it was written, and what that is worth
    contract    `audit schema`: the JSON Schema of a record
    options     what may follow `audit` and its questions
    when        times and lengths, on the command line and on the screen
    shown       what `--json` prints

Another question is a file here with `run`, a line in QUESTIONS (`options.py`) and one in ANSWERED_BY (`command.py`).
What was so at a moment is found by `agent/audit/account.py`; here it is only asked for and printed.
"""
