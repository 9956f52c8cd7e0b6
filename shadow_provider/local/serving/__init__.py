"""What serves: endpoints as a state machine, fleets of model processes, mirroring, captures, the runtime."""
