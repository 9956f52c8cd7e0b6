"""How often each rule errs, by simulation: ours at every look, a fixed-sample test, and Kayenta's judge."""
