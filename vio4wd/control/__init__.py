"""Control from outside: ZeroMQ services, OVSDB monitor, command file. Policy is the `Controller`'s."""
