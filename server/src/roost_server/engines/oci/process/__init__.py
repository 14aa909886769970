"""The process of a box: its bundle and limits, conmon and runc, commands inside."""
