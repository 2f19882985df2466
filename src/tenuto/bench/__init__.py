"""How fast a server answers: prompts, load, figures and a plot."""
