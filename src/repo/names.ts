// The rule of names (replication.md 2.2 and Settled points). Owner: repo.
