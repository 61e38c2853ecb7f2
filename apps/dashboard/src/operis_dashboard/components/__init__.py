"""Parts of pages. They take values and handlers, never a state of their own."""
