//! Nothing but tests, see `tests`: what holds for the repository as a whole.
