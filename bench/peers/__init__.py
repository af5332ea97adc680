"""The same classifier behind other servers, each program written as its documentation shows it."""
