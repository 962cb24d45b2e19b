"""What the shop does with personal data: each function one activity, for one purpose or one family of purposes."""
