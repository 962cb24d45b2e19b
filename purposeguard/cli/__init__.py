"""The command line `purposeguard`, and what it prints. Needs the extra `purposeguard[cli]`."""
