"""An account of one run, model or system against one line, to be handed on: gather → HTML, Markdown or JSON."""
