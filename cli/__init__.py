"""What every command shares: settings, output and exit codes. Imports nothing else of ours but `wire`'s formats."""
