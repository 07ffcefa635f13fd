"""How the manual is built: MyST Markdown with Sphinx, one folder for each kind of page."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import generate

generate.main()

project = "Roadstead"
copyright = "2026, the Roadstead contributors"  # noqa: A001
author = "The Roadstead contributors"
release = installed_version("roadstead")
version = release

extensions = ["myst_parser", "sphinx_copybutton"]
exclude_patterns = ["_build", "generated"]
nitpicky = True

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
copybutton_prompt_text = r"\$ |# "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = "Roadstead"
html_static_path: list[str] = []
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#23587f", "color-brand-content": "#23587f"},
    "dark_css_variables": {"color-brand-primary": "#8ec5ee", "color-brand-content": "#8ec5ee"},
}
