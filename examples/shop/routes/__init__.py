"""The shop's HTTP interface.

A route that shows personal data states its purpose with `purpose=`: its response is written while that purpose holds.
Other routes call an activity, which enters its purpose itself.
"""
