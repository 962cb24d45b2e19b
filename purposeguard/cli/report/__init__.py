"""The report for the privacy officer: what the notice grants, which code relies on it, and what is on record.

`facts` gathers what the page shows, `records` what a store tells; `drawing` draws the map, `page` makes the HTML.
"""
