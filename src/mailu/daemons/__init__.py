"""One room per daemon: its native configuration, how it is checked, started, reloaded and known to be ready."""
