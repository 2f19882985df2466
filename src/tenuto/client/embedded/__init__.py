"""`Client(engine=...)`: the server's application in this process, without a socket."""
