"""People, parties and time: what clauses 4 to 11 of a notice ask for, kept in one store and asked by guards."""
