"""Programs that use purposeguard as an application would."""
