"""Who may do what on the page: identities, permissions, and the guard in front of every request."""
