"""Notices that come with the library, each as the TOML that states it and the module generated from that."""
