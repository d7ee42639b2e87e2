"""An emulated microcontroller: compiles a C export, runs it, counts instructions."""
