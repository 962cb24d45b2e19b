"""Enforcement at run time: activities, access functions, uses, hand-overs and observers."""
