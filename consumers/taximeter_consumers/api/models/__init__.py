"""What goes over the wire: pure pydantic models. Names are snake_case here and camelCase on the wire."""
