"""Downloads of models: their names, the folder that holds them, and the Hugging Face Hub."""
