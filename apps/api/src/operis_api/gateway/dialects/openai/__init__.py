"""OpenAI's dialect: chat completions and embeddings."""
