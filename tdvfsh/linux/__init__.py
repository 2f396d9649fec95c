"""What Linux accepts after ExitBootServices, modelled."""
