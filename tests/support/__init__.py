"""What several folders of tests share: a control plane in this process, a private PostgreSQL, waiting."""
