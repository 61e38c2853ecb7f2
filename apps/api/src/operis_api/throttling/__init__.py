"""How often somebody may try: counted in the database, so exactly, over all processes."""
