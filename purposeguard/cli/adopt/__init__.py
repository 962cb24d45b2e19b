"""The commands `purposeguard adopt …`, which bring an existing code base under its notice."""
