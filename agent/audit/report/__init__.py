"""The report: a period of the audit log as one page that needs nothing else, to be kept, printed or shown.

    values    what is on a page: bands, bars, marks, rows
    tell      records become these values
    listings  the tables, line by line                          pure
    rows      a record as a row                                 pure
    bars      what lasted, as bars                              pure
    starts    starts of Docker, and what they cost              pure
    others    what others changed of the agent's                pure
    summary   the period in a sentence, and in a few numbers    pure
    palette   which colour a network and an upstream has        pure
    privacy   what of a record is on the page                   pure
    timeline  the picture, as SVG                               pure
    axis      where the picture has its times                   pure
    tables    what stands below it                              pure
    page      the whole page                                    pure
    style     how it looks                                      pure
    markup    HTML and SVG, every text escaped                  pure
    words     times and lengths, in the reader's time zone

The page holds no script and no reference to anything outside of it, so it is the same wherever it is opened. A new band
is a member of `Band` in `values`, filled in `tell`; a new table is a function in `listings`, called in `tell`.
"""
