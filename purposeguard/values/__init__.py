"""What carries a label: tags on fields, sealed values, and what a value is without the fields that are withheld."""
