"""The pages: each module is one state and its view. Importing this package registers all of them."""
