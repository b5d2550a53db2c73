"""The command line: its grammar, what an interruption does, the runs it asks for, and the files they leave."""
