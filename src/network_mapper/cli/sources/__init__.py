"""Where the commands get the map from: a mapper, one that knows only the model's GraphQL, or a file.

Commands see one interface, `MapSource`, and open it with `open_source`. What goes wrong on the way is one line that
says what was tried and what to do.
"""
