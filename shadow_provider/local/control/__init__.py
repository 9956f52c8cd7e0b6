"""The local AWS's own API beside the AWS ones: faults, the call log, the status; and its client."""
