"""Data that carries a label: tags on fields, sealed values, and copies without withheld fields."""
