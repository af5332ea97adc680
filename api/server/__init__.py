"""waitress with what it lacks here: problem answers, time to read a refusal, a receive deadline, a drain."""
