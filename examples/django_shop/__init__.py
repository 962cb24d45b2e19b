"""A shop on Django and its REST framework, held to a notice.

`python -m examples.django_shop migrate`, `… check`, `… runserver`, `… remind`.
"""
