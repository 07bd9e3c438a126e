"""What is written down: the audit log, and the lines that go to the journal or a terminal.

    record          what a pass calls: an event with its facts, into the audit log and into the journal
    log             the audit log, appended to: one record after the other
    so_far          what the records say of Docker up to now: its last start, a restart that waits
    counters        how often what happened, for `status --format prometheus`
    chain           one record as a line, and how each is chained to the one before             pure
    files           which files the log has, and how they end
    anchor          the end of the chain, kept in the state directory as well
    system_journal  what systemd's journal knows of the chain
    about_the_log   what the log says about itself: what was cut short, what was dropped        pure
    verify          whether the log is as it was written
    read            the records that a reader asks for
    heads           the same, with no more decoded than has to be
    older           facts of records of an older schema, under today's names                    pure
    texts           equal texts are kept once                                                   pure
    account         what was so at any moment: spans, restarts, orders                          pure
    outages_told    when Docker reached no registry, and how each time ended                    pure
    hindrances      why Docker could not switch while it reached no registry                    pure
    ran             what Docker ran with, from when to when, and in which network               pure
    orders          what people ordered, and what came of it                                  pure
    lanes           spans on their way                                                          pure
    spans           what an account consists of                                                 pure
    report/         a period as a page to keep
    facts           what may stand in a record, and in a line of the journal                    pure
    facts_read      what stands in one, as far as it is what it should be                       pure
    schema          the JSON Schema of a record
    logs            structlog, configured once: journal fields, console, JSON lines
    unexpected      an exception that nobody expected, as an error and a traceback
    drift_digests   another digest for another value of our keys

A new thing that can happen is a class in `agent/values/events.py`; a new type of fact is a case in `facts.plain`.
"""
