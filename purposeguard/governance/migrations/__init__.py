"""The migrations of the governance store, run by `Store.open`."""
