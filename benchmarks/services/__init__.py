"""What an integration adds to a request, a message or a record: the same application bare, in the same run."""
