"""The schema that Operis' processes share. Importing a module of it registers its tables on `Base.metadata`."""
