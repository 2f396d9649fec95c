"""The plots of a sweep, drawn from panels: shapes first, then as SVG, PNG or HTML."""
