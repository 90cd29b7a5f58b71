"""What a call demands of its caller's policies: actions on resources, a module per service; and the decision."""
