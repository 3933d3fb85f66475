"""How the toys are trained: recipes, data and stages."""
