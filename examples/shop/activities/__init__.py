"""The shop's activities with personal data. Each function has one purpose or one family of purposes."""
