"""Where models come from: their names, the folder of downloaded ones, and the Hugging Face Hub."""
