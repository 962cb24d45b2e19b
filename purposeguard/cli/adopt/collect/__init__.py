"""Collectors: they find the classes and tables of an application, a database or a dbt project."""
