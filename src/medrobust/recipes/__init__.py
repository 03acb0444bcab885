"""What can be written in a recipe: frozen dataclasses of plain values. Only `yaml` knows YAML and pydantic."""
