"""A shop that was written without its notice in mind: what `purposeguard adopt` finds in it, and brings in order."""
