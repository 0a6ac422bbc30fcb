"""The recipes that come with isotune, one TOML file each."""
