"""The files of a project beside its notice: tags, purposes and tolerated violations."""
