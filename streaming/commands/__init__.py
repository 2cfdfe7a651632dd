"""The command lines of the scripts, a module each under the script's own name."""
