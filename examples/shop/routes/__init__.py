"""The shop over HTTP.

A route that shows personal data says what for, `purpose=`: its answer is written while that purpose holds. Other routes
call an activity, which enters its purpose where it does its work.
"""
